"""Weights read and written piece by piece, so that memory does not grow with the model.

Safetensors files, and the sources of a merge aligned: every tensor that any of them changed, as K rows of one float32
array.
"""

import errno
import json
import os
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from workflow_scripts.core.errors import XlmergeError

ROWS = ".rows"
PIECE = 1 << 16  # elements of one source per piece: a few sources' float32 stay in cache
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
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise XlmergeError(
                    f"{path} cannot be opened: a merge holds all its sources open, and this process may open no more "
                    "files. Raise the limit (`ulimit -n 4096`), or merge fewer"
                ) from None
            raise XlmergeError(f"{path} cannot be read: {error}") from None
        try:
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


class Progress:
    """Is told what a merge reads; this one keeps silent."""

    def phase(self, name: str, elements: int | None) -> None:
        """Begin a phase: all passes before the last one, then the last one, whose number of elements is known."""

    def advance(self, elements: int) -> None:
        """Take note of elements read from a source."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the merge.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Aligned shape; for a tensor stored by rows, the union of the sources' rows.
    rows : ndarray of int64 or None
        The union of the changed rows, where no source holds the whole tensor.
    first : int
        Position of the tensor's first element in the canonical order of all elements.
    """

    name: str
    shape: tuple[int, ...]
    rows: np.ndarray | None
    first: int

    @property
    def size(self) -> int:
        """Number of aligned elements."""
        return prod(self.shape)

    @property
    def width(self) -> int:
        """Elements per row."""
        return prod(self.shape[1:])


class Sources:
    """Task vectors opened together.

    Parameters
    ----------
    sources : list of path or Reader
        One per source, in the order of the weights: a task-vector file, or what reads a task vector.
    names : list of str
        For messages.
    whole : mapping, optional
        Tensor name → full shape; these tensors are aligned whole, even where all sources store rows.
    only : collection of str, optional
        The tensors that take part; default: all that a source has.
    progress : Progress, optional
        Is told of every element read.
    like : sequence of Tensor, optional
        Take this alignment, that of the task vectors, for files that hold something else about the same sources.

    Raises
    ------
    XlmergeError
        If tensors of one name have different shapes.
    """

    def __init__(
        self,
        sources: Sequence[Path | Reader],
        names: Sequence[str],
        whole: Mapping[str, tuple[int, ...]] | None = None,
        only: Collection[str] | None = None,
        progress: Progress | None = None,
        like: Sequence[Tensor] | None = None,
    ) -> None:
        self.files: list[Reader] = [TensorFile(s) if isinstance(s, Path) else s for s in sources]
        self._own = [f for f, s in zip(self.files, sources, strict=True) if f is not s]
        self.names = names
        self._whole = whole or {}
        self._progress = progress or Progress()
        stored_names = {n for f in self.files for n in f.stored if not n.endswith(ROWS)}
        chosen = sorted(stored_names if only is None else stored_names & set(only))
        self._rows = [{n: f.read_rows(n) for n in chosen if n in f.stored and n + ROWS in f.stored} for f in self.files]
        self.tensors = self._align(chosen) if like is None else list(like)
        self._places = [self._place(i) for i in range(len(self.files))]

    def some(self, places: Sequence[int]) -> "Sources":
        """Return some of the sources, aligned as all are; their files stay with these here."""
        files, names = [self.files[i] for i in places], [self.names[i] for i in places]
        return Sources(files, names, progress=self._progress, like=self.tensors)

    def close(self) -> None:
        """Close the files that were opened here."""
        for file in self._own:
            file.close()

    def stored_elements(self, source: int) -> int:
        """Return how many elements a source holds: those that training may have changed."""
        stored = self.files[source].stored
        return sum(prod(s.shape) for name, s in stored.items() if not name.endswith(ROWS))

    def _align(self, names: Sequence[str]) -> list[Tensor]:
        tensors, first = [], 0
        for name in names:
            holders = [(i, f.stored[name]) for i, f in enumerate(self.files) if name in f.stored]
            rows = self._union(name, [i for i, _ in holders])
            tail = self._common_shape(name, holders, rows)
            tensors.append(Tensor(name, tail, rows, first))
            first += tensors[-1].size
        return tensors

    def _union(self, name: str, holders: list[int]) -> np.ndarray | None:
        by_rows = [self._rows[i][name] for i in holders if name in self._rows[i]]
        if name in self._whole:
            return None
        return np.unique(np.concatenate(by_rows)) if len(by_rows) == len(holders) else None

    def _common_shape(self, name: str, holders: list[tuple[int, Stored]], rows: np.ndarray | None) -> tuple[int, ...]:
        whole = {s.shape for i, s in holders if name not in self._rows[i]}
        whole |= {self._whole[name]} if name in self._whole else set()
        tails = {s.shape[1:] for _, s in holders} | {shape[1:] for shape in whole}
        if len(whole) > 1 or len(tails) > 1:
            described = ", ".join(f"{self.names[i]} {s.shape}" for i, s in holders)
            raise XlmergeError(f"tensor {name} has different shapes: {described}; the sources' architectures differ")
        return (len(rows), *tails.pop()) if rows is not None else whole.pop()

    def _place(self, source: int) -> dict[str, np.ndarray]:
        """Return, for each tensor that a source stores by rows, its rows' positions in the aligned tensor."""
        return {
            t.name: rows if t.rows is None else np.searchsorted(t.rows, rows)
            for t in self.tensors
            if (rows := self._rows[source].get(t.name)) is not None
        }

    def read_all(self, tensor: Tensor, start: int, out: np.ndarray) -> None:
        """Fill `out` (shape (K, n)) with all sources' aligned elements from `start` on."""
        for source, values in enumerate(out):
            self.read(source, tensor, start, values)

    def read(self, source: int, tensor: Tensor, start: int, out: np.ndarray) -> None:
        """Fill `out` with a source's aligned elements from `start` on; what it did not change is 0."""
        file = self.files[source]
        self._progress.advance(len(out))
        if tensor.name not in file.stored:
            out[:] = 0
        elif tensor.name not in self._places[source]:
            file.read(tensor.name, start, out)
        else:
            self._read_placed(source, tensor, start, out)

    def _read_placed(self, source: int, tensor: Tensor, start: int, out: np.ndarray) -> None:
        width, places = tensor.width, self._places[source][tensor.name]
        top, bottom = start // width, (start + len(out) - 1) // width + 1
        low, high = np.searchsorted(places, (top, bottom))
        block = np.zeros((bottom - top, width), np.float32)
        if high > low:
            values = np.empty((high - low) * width, np.float32)
            self.files[source].read(tensor.name, int(low) * width, values)
            block[places[low:high] - top] = values.reshape(-1, width)
        offset = start - top * width
        out[:] = block.reshape(-1)[offset : offset + len(out)]
