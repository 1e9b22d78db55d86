"""The sources of a merge, aligned: every tensor that any of them changed, as K rows of one float32 array."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.progress import Progress
from workflow_scripts.merging.tensor_files import ROWS, Reader, Stored, TensorFile

PIECE = 1 << 16  # elements of one source per piece: a few sources' float32 stay in cache


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
        found = {n for f in self.files for n in f.stored if not n.endswith(ROWS)}
        chosen = sorted(found if only is None else found & set(only))
        self._rows = [{n: f.read_rows(n) for n in chosen if n in f.stored and n + ROWS in f.stored} for f in self.files]
        self.tensors = self._align(chosen) if like is None else list(like)
        self._places = [self._place(i) for i in range(len(self.files))]

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
