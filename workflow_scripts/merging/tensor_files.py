"""Reading and writing safetensors files piece by piece, so that memory does not grow with the model."""

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from workflow_scripts.core.errors import XlmergeError

ROWS = ".rows"
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I32": 4, "I64": 8, "U8": 1, "I8": 1, "BOOL": 1, "I16": 2}
NUMPY = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "F64": np.float64, "I32": np.int32, "I64": np.int64}


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies in its file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


class Reader(Protocol):
    """What can be a source of a merge, or its θ₀: named tensors, read in pieces."""

    stored: dict[str, Stored]

    def read(self, name: str, start: int, out: np.ndarray) -> None:
        """Fill `out` (float32, flat) with the elements of a tensor from flat position `start` on."""

    def read_rows(self, name: str) -> np.ndarray:
        """Return the row positions (int64) that belong to a tensor stored by rows."""

    @property
    def bytes(self) -> int:
        """Size on disk."""

    def close(self) -> None:
        """Close what was opened."""


class TensorFile:
    """A safetensors file, opened for reading in pieces.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    stored : dict of str to Stored
    metadata : dict of str to str

    Raises
    ------
    XlmergeError
        If the file is not a whole safetensors file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY)
            header, start = self._header()
        except (OSError, ValueError, struct.error) as error:
            raise XlmergeError(f"{path} is not a readable safetensors file: {error}") from None
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        self.stored = {
            name: Stored(entry["dtype"], tuple(entry["shape"]), start + entry["data_offsets"][0])
            for name, entry in header.items()
        }
        end = max((start + entry["data_offsets"][1] for entry in header.values()), default=start)
        if os.fstat(self._descriptor).st_size != end:
            raise XlmergeError(f"{path} is cut short or has grown: delete it and rerun")

    def _header(self) -> tuple[dict[str, Any], int]:
        (length,) = struct.unpack("<Q", os.pread(self._descriptor, 8, 0))
        if length > os.fstat(self._descriptor).st_size - 8:
            raise ValueError("the header is cut short")
        header = json.loads(os.pread(self._descriptor, length, 8))
        if not isinstance(header, dict):
            raise ValueError("the header is not a JSON object")
        return header, 8 + length

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def read(self, name: str, start: int, out: np.ndarray) -> None:
        """Fill `out` (float32, flat) with the elements of a tensor from flat position `start` on."""
        stored = self.stored[name]
        kind = NUMPY[stored.dtype]
        if stored.dtype == "F32":
            self._fill(out, stored.offset + 4 * start, name)
            return
        raw = np.empty(len(out), kind)
        self._fill(raw, stored.offset + raw.itemsize * start, name)
        if stored.dtype == "BF16":
            np.left_shift(raw.astype(np.uint32), 16, out=out.view(np.uint32))
        else:
            out[:] = raw

    def read_bytes(self, name: str) -> np.ndarray:
        """Return a whole tensor as its file holds it (uint8)."""
        stored = self.stored[name]
        raw = np.empty(int(np.prod(stored.shape, dtype=np.int64)) * ITEM_BYTES[stored.dtype], np.uint8)
        self._fill(raw, stored.offset, name)
        return raw

    def read_rows(self, name: str) -> np.ndarray:
        """Return the row positions (int64) that belong to a tensor stored by rows."""
        stored = self.stored[name + ROWS]
        raw = np.empty(stored.shape[0], NUMPY[stored.dtype])
        self._fill(raw, stored.offset, name + ROWS)
        return raw.astype(np.int64)

    def _fill(self, target: np.ndarray, position: int, name: str) -> None:
        view = target.data.cast("B")
        done = 0
        while done < len(view):
            count = os.preadv(self._descriptor, [view[done:]], position + done)
            if count == 0:
                raise XlmergeError(f"{self.path}: tensor {name} is cut short")
            done += count


class TensorWriter:
    """Writes a safetensors file whose tensors' shapes are known before their values.

    Parameters
    ----------
    path : path
        Not atomic by itself: give it a temporary path.
    shapes : dict of str to tuple of (shape, dtype)
        ``dtype`` in safetensors' words: ``"F32"``, ``"BF16"``, ``"I32"`` …
    metadata : dict of str to str
    """

    def __init__(
        self, path: str | Path, shapes: dict[str, tuple[tuple[int, ...], str]], metadata: dict[str, str]
    ) -> None:
        header: dict[str, object] = {"__metadata__": metadata}
        self._offsets, position = {}, 0
        for name, (shape, dtype) in shapes.items():
            size = int(np.prod(shape, dtype=np.int64)) * ITEM_BYTES[dtype]
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + size]}
            self._offsets[name] = position
            position += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._start = 8 + len(text)
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115
        self._file.write(struct.pack("<Q", len(text)) + text)
        os.truncate(self._file.fileno(), self._start + position)

    def write(self, name: str, start: int, values: np.ndarray) -> None:
        """Write flat `values`, of the tensor's item size, at element `start` of a tensor."""
        view = np.ascontiguousarray(values).data.cast("B")
        position = self._start + self._offsets[name] + start * values.itemsize
        while len(view):
            count = os.pwrite(self._file.fileno(), view, position)
            view, position = view[count:], position + count

    def __enter__(self) -> "TensorWriter":
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()
