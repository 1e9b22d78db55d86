"""Scopes: consecutive tensors whose elements compete for being kept, read pass by pass or as a sample."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from workflow_scripts.merging.context import Context
from workflow_scripts.merging.order_statistics import Stretch
from workflow_scripts.merging.sources import PIECE, Sources, Tensor
from workflow_scripts.merging.trimming import Ranks, Threshold, exact_thresholds, magnitude_keys

SMALL = 1 << 22  # elements: a smaller scope needs no sample
CHUNKS, CHUNK = 4096, 256  # a sample

Read = Callable[[Tensor, int, int], np.ndarray]  # tensor, start, count → uint32 keys; may reuse one array


@dataclass(frozen=True)
class Scope:
    """Tensors, consecutive in canonical order, and how to read the keys of their elements."""

    tensors: Sequence[Tensor]
    read: Read

    @property
    def size(self) -> int:
        """Number of aligned elements."""
        return sum(t.size for t in self.tensors)

    def stretches(self) -> Iterator[Stretch]:
        """Yield all keys in canonical order."""
        for tensor in self.tensors:
            for start in range(0, tensor.size, PIECE):
                yield tensor.first + start, self.read(tensor, start, min(PIECE, tensor.size - start))

    def sample(self) -> np.ndarray | None:
        """Return chunks of keys, evenly spread and filled up with 0, or None for a small scope."""
        if self.size <= SMALL:
            return None
        firsts = [t.first for t in self.tensors]
        chunks = np.zeros((CHUNKS, CHUNK), np.uint32)
        for chunk, offset in zip(chunks, np.linspace(0, self.size - 1, CHUNKS).astype(np.int64), strict=True):
            position = firsts[0] + int(offset)
            tensor = self.tensors[bisect_right(firsts, position) - 1]
            start = position - tensor.first
            count = min(CHUNK, tensor.size - start)
            chunk[:count] = self.read(tensor, start, count)
        return chunks

    def thresholds(self, ranks: Ranks) -> list[Threshold]:
        """Return the exact thresholds of several ranks; see `trimming.exact_thresholds`."""
        return exact_thresholds(self.stretches, ranks, self.sample())


def population(context: Context, tensors: Sequence[Tensor], count: str, whole: bool) -> Callable[[int, int], int]:
    """Return what turns (non-zero, aligned elements) into the number that fractions are taken of.

    Parameters
    ----------
    count : {"nonzero", "all"}
        ``"all"`` includes what no source changed, as far as the layout's shapes are known.
    whole : bool
        The tensors are the whole model.
    """
    if count == "nonzero":
        return lambda nonzero, _: nonzero
    aligned = sum(t.size for t in tensors)
    full = sum(context.layout.full_size(t) for t in tensors)
    if whole and context.layout.shapes:
        full = sum(prod(shape) for shape in context.layout.shapes.values())
    return lambda _, total: total * full // max(1, aligned)


def magnitude_thresholds(
    sources: Sources, context: Context, ranks: Callable[[int], Sequence[int]], count: str, per_tensor: bool
) -> dict[str | None, list[list[Threshold]]]:
    """Return scope → source → thresholds of magnitude; a scope is a tensor's name, or None for the whole vector.

    Parameters
    ----------
    ranks : callable
        The number of elements that count (see `population`) → wanted ranks.
    """
    found = {}
    scopes = {t.name: [t] for t in sources.tensors} if per_tensor else {None: sources.tensors}
    for name, tensors in scopes.items():
        counted = population(context, tensors, count, whole=name is None)
        wanted = partial(_ranks, ranks, counted)
        found[name] = [_magnitudes(sources, i, tensors).thresholds(wanted) for i in range(len(sources.files))]
    return found


def _ranks(
    ranks: Callable[[int], Sequence[int]], counted: Callable[[int, int], int], nonzero: int, total: int
) -> Sequence[int]:
    return ranks(counted(nonzero, total))


def _magnitudes(sources: Sources, source: int, tensors: Sequence[Tensor]) -> Scope:
    buffer = np.empty(PIECE, np.float32)

    def read(tensor: Tensor, start: int, count: int) -> np.ndarray:
        sources.read(source, tensor, start, buffer[:count])
        return magnitude_keys(buffer[:count])

    return Scope(tensors, read)
