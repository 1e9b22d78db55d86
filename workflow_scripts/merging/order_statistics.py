"""Finding the key of a given rank in a stream of keys: by a bracket from a sample, or by radix."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

COLLECTED = 1 << 24  # a bracket that holds more keys is given up
DEVIATIONS = 6  # a bracket reaches so many standard errors to either side
LARGEST = 0xFFFFFFFF
HALF = 16  # bits per pass of the radix search

Stretch = tuple[int, np.ndarray]  # canonical position of the first element; values or keys
Stretches = Callable[[], Iterator[Stretch]]  # starts a pass over all elements in canonical order


@dataclass(frozen=True)
class Found:
    """A key, and how many keys are larger than it or equal to it."""

    key: int
    larger: int
    equal: int


@dataclass
class Bracket:
    """A range of keys that hopefully holds the wanted one.

    Attributes
    ----------
    low, high : int
        Inclusive.
    above : int
        Number of keys beyond `high`.
    inside : list of ndarray or None
        The keys within; None after there were too many.
    """

    low: int
    high: int
    above: int = 0
    inside: list[np.ndarray] | None = field(default_factory=list)
    size: int = 0

    def count(self, keys: np.ndarray) -> None:
        """Take in a stretch of keys."""
        if self.inside is None:
            return
        part = keys.copy() if (self.low, self.high) == (1, LARGEST) else self._within(keys)
        self.size += len(part)
        self.inside.append(part)
        if self.size > COLLECTED:
            self.inside = None

    def _within(self, keys: np.ndarray) -> np.ndarray:
        larger = keys > np.uint32(self.high)
        self.above += int(np.count_nonzero(larger))
        within = keys >= np.uint32(self.low)
        np.not_equal(within, larger, out=within)
        return keys[np.flatnonzero(within)]


def brackets(sample: np.ndarray, ranks: Callable[[int, int], Sequence[int]]) -> list[Bracket]:
    """Guess a bracket for each rank; its width comes from how much the sample's chunks differ.

    Parameters
    ----------
    sample : ndarray of uint32, shape (chunks, n)
    ranks : callable
        Number of non-zero keys, number of elements → wanted ranks.
    """
    ordered = np.sort(sample[sample > 0])
    if not len(ordered):
        return [Bracket(1, LARGEST) for _ in ranks(0, sample.size)]
    counts = np.count_nonzero(sample, axis=1)
    found = []
    for rank in ranks(len(ordered), sample.size):
        at = len(ordered) - min(max(rank, 1), len(ordered))
        above = np.count_nonzero(sample >= ordered[at], axis=1)
        spread = np.std(above - counts * (len(ordered) - at) / len(ordered)) * np.sqrt(len(sample))
        margin = int(DEVIATIONS * spread) + 2 * DEVIATIONS
        low = int(ordered[at - margin]) if at >= margin else 1
        high = int(ordered[at + margin]) if at + margin < len(ordered) else LARGEST
        found.append(Bracket(low, high))
    return found


def find(stretches: Stretches, rank: int, bracket: Bracket) -> Found:
    """Return the key of a rank (1 = largest; at most the number of non-zero keys; 0: a key beyond all)."""
    if rank == 0:
        return Found(LARGEST, 0, 0)
    if bracket.inside is None or not bracket.above < rank <= bracket.above + bracket.size:
        return radix_search(stretches, rank)
    inside = np.concatenate(bracket.inside)
    place = len(inside) - (rank - bracket.above)
    key = np.partition(inside, place)[place]
    larger = bracket.above + int(np.count_nonzero(inside > key))
    return Found(int(key), larger, int(np.count_nonzero(inside == key)))


def radix_search(stretches: Stretches, rank: int) -> Found:
    """Return the key of a rank by two histograms: of the upper half of the bits, then of the lower."""
    upper = _histogram(keys >> HALF for _, keys in stretches())
    top, larger = _bin(upper, rank)
    lower = _histogram(keys[keys >> HALF == top] & np.uint32((1 << HALF) - 1) for _, keys in stretches())
    bottom, more = _bin(lower, rank - larger)
    return Found(top << HALF | bottom, larger + more, int(lower[bottom]))


def _histogram(parts: Iterator[np.ndarray]) -> np.ndarray:
    return sum((np.bincount(p, minlength=1 << HALF) for p in parts), start=np.zeros(1 << HALF, np.int64))


def _bin(histogram: np.ndarray, rank: int) -> tuple[int, int]:
    """Return the bin that holds a rank, and the number of keys in the bins above it."""
    from_top = np.cumsum(histogram[::-1])
    place = int(np.searchsorted(from_top, rank))
    return len(histogram) - 1 - place, int(from_top[place - 1]) if place else 0
