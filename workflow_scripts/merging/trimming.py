"""Exact magnitude thresholds of streamed task vectors: which elements are among the k largest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

SHIFT = 15  # |float32| has 31 bits; the upper 16 are the bin
BINS = 1 << (31 - SHIFT)


@dataclass(frozen=True)
class Threshold:
    """The cut between kept and dropped elements of one source in one scope.

    Attributes
    ----------
    magnitude : float
        Elements above it are kept, those below dropped.
    last : int
        Canonical position of the last kept element that equals `magnitude`: ties go to the lowest index.
    kept, nonzero : int
        Counts of elements in scope.
    """

    magnitude: np.float32
    last: int
    kept: int
    nonzero: int

    def apply(self, values: np.ndarray, first: int) -> None:
        """Set the dropped elements of `values` (float32, consecutive from canonical position `first`) to 0."""
        size = np.abs(values)
        drop = size < self.magnitude
        if first + len(values) > self.last + 1:
            tail = max(0, self.last + 1 - first)
            drop[tail:] |= size[tail:] == self.magnitude
        values[drop] = 0


Stretch = tuple[int, np.ndarray]  # canonical position of the first element; values


def exact_threshold(stretches: Callable[[], Iterator[Stretch]], density: float, count_all: bool = False) -> Threshold:
    """Find the k largest magnitudes in two or three passes, k = max(1, ⌊density·nnz⌋).

    Parameters
    ----------
    stretches : callable
        Starts a pass: yields (first position, float32 values) in canonical order.
    density : float
        Fraction of the non-zero elements to keep.
    count_all : bool
        Take the fraction of all elements, as papers and mergekit do.
    """
    histogram, zeros, total = np.zeros(BINS, np.int64), 0, 0
    for _, values in stretches():
        bits = values.view(np.uint32) & np.uint32(0x7FFFFFFF)
        histogram += np.bincount(bits >> SHIFT, minlength=BINS)
        zeros += int(len(values) - np.count_nonzero(values))
        total += len(values)
    nonzero = total - zeros
    histogram[0] -= zeros
    wanted = min(max(1, int(density * (total if count_all else nonzero))), nonzero)
    if nonzero == 0:
        return Threshold(np.float32(0), -1, 0, 0)
    above = np.cumsum(histogram[::-1])[::-1]
    chosen = int(np.flatnonzero(above >= wanted)[-1])
    rank = wanted - (int(above[chosen + 1]) if chosen + 1 < BINS else 0)
    return Threshold(*_cut(stretches, chosen, rank), wanted, nonzero)


def _cut(stretches: Callable[[], Iterator[Stretch]], chosen: int, rank: int) -> tuple[np.float32, int]:
    """Return the magnitude of rank `rank` (1 = largest) within a bin, and the last kept position that equals it."""
    sizes, positions = [], []
    for first, values in stretches():
        bits = values.view(np.uint32) & np.uint32(0x7FFFFFFF)
        inside = np.flatnonzero(((bits >> SHIFT) == chosen) & (bits != 0))
        sizes.append(np.abs(values[inside]))
        positions.append(first + inside)
    size, position = np.concatenate(sizes), np.concatenate(positions)
    magnitude = np.partition(size, len(size) - rank)[len(size) - rank]
    ties = position[size == magnitude]
    kept_ties = rank - int((size > magnitude).sum())
    return magnitude, int(ties[kept_ties - 1])
