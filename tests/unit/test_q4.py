"""The reader of 4-bit encoder files, on bytes made by hand."""

import struct

import numpy as np
import pytest

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.q4 import Header, decode_q4, read_q4

# --- Q4_0


def block(scale, nibbles):
    """Pack 32 numbers 0–15: byte j holds number j in its low half and number j + 16 in its high half."""
    return struct.pack("<e", scale) + bytes(nibbles[j] | nibbles[j + 16] << 4 for j in range(16))


def test_one_block_by_hand():
    # scale 0.5; byte 0 is 0xF0: weight 0 = (0 − 8)/2, weight 16 = (15 − 8)/2; byte 3 is 0x8A: weight 3 = (10 − 8)/2
    raw = bytes.fromhex("0038" + "f0 88 88 8a" + "88" * 12)
    expected = np.zeros(32, np.float32)
    expected[[0, 16, 3]] = [-4, 3.5, 1]
    found = decode_q4(raw, 32)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_each_block_has_its_own_scale():
    numbers = list(range(16)) * 2
    raw = block(1.0, numbers) + block(-0.25, numbers)
    weights = np.array(numbers) - 8
    np.testing.assert_array_equal(decode_q4(raw, 64), np.concatenate([weights, -0.25 * weights]))


# --- a whole file

PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁ein", -1.5), ("字", -2.25)]
NUMBERS = [(7 * i) % 16 for i in range(32)]


def encoder_file():
    header = b"E5S1" + struct.pack("<I7ifi", 1, 32, 2, 4, 64, 6, 10, 2, 1e-12, 32)
    texts = [text.encode() for text, _ in PIECES]
    offsets = np.cumsum([0, *map(len, texts)])
    pieces = struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, offsets[-1]) + offsets.astype("<u4").tobytes()
    pieces += np.array([score for _, score in PIECES], "<f4").tobytes() + b"".join(texts)
    normaliser = struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xFB01, 1, 0x66)
    start = len(header + pieces + normaliser)
    tensors = [("l0.q.w", 1, 32, block(2.0, NUMBERS)), ("emb.ln.b", 0, 3, np.array([1, -2, 3], "<f4").tobytes())]
    position = start + 4 + sum(2 + len(name) + 21 for name, *_ in tensors)
    directory = struct.pack("<i", len(tensors))
    for name, kind, count, content in tensors:
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, count, position, len(content))
        position += len(content)
    return header + pieces + normaliser + directory + b"".join(content for *_, content in tensors)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "encoder.bin"
    path.write_bytes(encoder_file())
    return path


def test_a_whole_file(path):
    content = read_q4(path)
    assert content.header == Header(32, 2, 4, 64, 6, 10, 2, pytest.approx(1e-12))
    assert content.pieces == PIECES
    assert list(content.tensors) == ["l0.q.w", "emb.ln.b"]
    np.testing.assert_array_equal(content.tensors["l0.q.w"], 2.0 * (np.array(NUMBERS) - 8))
    np.testing.assert_array_equal(content.tensors["emb.ln.b"], [1, -2, 3])


def test_another_kind_of_file_is_an_error(path):
    path.write_bytes(b"GGUF" + encoder_file()[4:])
    with pytest.raises(XlmergeError, match=r"encoder\.bin is not an E5S1 encoder file"):
        read_q4(path)


def test_every_truncation_is_an_error_that_names_the_file(path):
    content = encoder_file()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(XlmergeError, match=r"encoder\.bin is (damaged|not an E5S1)"):
            read_q4(path)


def test_another_version_is_an_error(path):
    path.write_bytes(b"E5S1" + struct.pack("<I", 2) + encoder_file()[8:])
    with pytest.raises(XlmergeError, match="version"):
        read_q4(path)
