"""Exact thresholds of streamed values: which elements are among the k largest.

Floats are compared through *keys*: unsigned integers in the same order, where key 0 means "not in scope". A sample
gives a bracket around the wanted key; one pass counts what lies above the bracket and collects what lies inside. Where
the bracket misses or holds too much, a radix search of two passes finds the key in bounded memory (`order_statistics`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.merging.arithmetic import mask
from workflow_scripts.merging.order_statistics import LARGEST, Bracket, Found, Stretch, Stretches, brackets, find

ALL = 1 << 62  # a position behind all elements
MAGNITUDE, SIGN = np.uint32(0x7FFFFFFF), np.uint32(0x80000000)

Ranks = Callable[[int, int], Sequence[int]]  # number of non-zero keys, number of elements → wanted ranks (1 = largest)


def share(fraction: float, count: int, minimum: int = 1) -> int:
    """Return how many of `count` elements a fraction is: rounded down, at least `minimum`."""
    return max(minimum, int(fraction * count))


def magnitude_keys(values: np.ndarray) -> np.ndarray:
    """Return the keys of |values| (float32); zeros are not in scope."""
    return values.view(np.uint32) & MAGNITUDE


def signed_keys(values: np.ndarray) -> np.ndarray:
    """Return keys in the order of the signed values (float32); none of them is 0."""
    bits = values.view(np.uint32)
    flip = (bits >> np.uint32(31)) * MAGNITUDE  # negative: all bits turn, else the sign only
    return bits ^ (flip | SIGN)


def value_of_signed_key(key: int) -> float:
    """Return the value that `signed_keys` turned into a key."""
    bits = np.uint32(key ^ 0x80000000 if key & 0x80000000 else key ^ LARGEST)
    return float(bits.view(np.float32))


@dataclass(frozen=True)
class Threshold:
    """The cut between kept and dropped elements of one source in one scope.

    Attributes
    ----------
    key : int
        Elements with a larger key are kept, those with a smaller one dropped.
    last : int
        Canonical position of the last kept element with this key: ties go to the lowest index.
    kept, nonzero : int
        Counts of elements in scope.
    """

    key: int
    last: int
    kept: int
    nonzero: int

    def keep(self, keys: np.ndarray, first: int) -> np.ndarray:
        """Return which elements are kept; their canonical positions are consecutive from `first` on."""
        kept = keys >= np.uint32(self.key)
        if first + len(keys) > self.last + 1:
            tail = max(0, self.last + 1 - first)
            np.greater(keys[tail:], np.uint32(self.key), out=kept[tail:])
        return kept

    def apply(self, values: np.ndarray, first: int) -> None:
        """Set those of `values` (float32) to 0 that are not among the largest magnitudes."""
        mask(values, self.keep(magnitude_keys(values), first))


def exact_threshold(stretches: Stretches, density: float, count_all: bool = False) -> Threshold:
    """Find the k largest magnitudes, k = max(1, ⌊density·nnz⌋).

    Parameters
    ----------
    stretches : callable
        Starts a pass: yields (first position, float32 values) in canonical order.
    density : float
        Fraction of the non-zero elements to keep.
    count_all : bool
        Take the fraction of all elements, as papers and mergekit do.
    """

    def keys() -> Iterator[Stretch]:
        return ((first, magnitude_keys(values)) for first, values in stretches())

    return exact_thresholds(keys, lambda nonzero, total: [share(density, total if count_all else nonzero)])[0]


def exact_thresholds(stretches: Stretches, ranks: Ranks, sample: np.ndarray | None = None) -> list[Threshold]:
    """Find the elements of several ranks at once.

    Parameters
    ----------
    stretches : callable
        Starts a pass: yields (first position, uint32 keys) in canonical order.
    ranks : callable
        Wanted ranks; a rank of 0 keeps nothing, one beyond the last non-zero key keeps them all.
    sample : ndarray of uint32, shape (chunks, n), optional
        Keys of evenly spread chunks of the elements; without it all keys are collected, if they are not too many.
    """
    guessed = [Bracket(1, LARGEST)] if sample is None else brackets(sample, ranks)
    nonzero = total = 0
    for _, keys in stretches():
        nonzero += int(np.count_nonzero(keys != 0))  # faster than on integers
        total += len(keys)
        for bracket in guessed:
            bracket.count(keys)
    wanted = [min(rank, nonzero) for rank in ranks(nonzero, total)]
    found = [find(stretches, rank, guessed[min(i, len(guessed) - 1)]) for i, rank in enumerate(wanted)]
    lasts = _last_positions(stretches, wanted, found)
    return [Threshold(f.key, last, rank, nonzero) for f, last, rank in zip(found, lasts, wanted, strict=True)]


def _last_positions(stretches: Stretches, ranks: list[int], found: list[Found]) -> list[int]:
    """Return for each rank the position of its last kept tie; a pass is needed only where not all ties are kept."""
    left = {i: rank - f.larger for i, (rank, f) in enumerate(zip(ranks, found, strict=True))}
    lasts = [-1 if left[i] == 0 else ALL for i in range(len(ranks))]
    pending = {i for i, ties in left.items() if 0 < ties < found[i].equal}
    for first, keys in stretches() if pending else ():
        for i in sorted(pending):
            equal = np.flatnonzero(keys == np.uint32(found[i].key))
            if len(equal) >= left[i]:
                lasts[i] = first + int(equal[left[i] - 1])
                pending.discard(i)
            left[i] -= len(equal)
        if not pending:
            break
    return lasts
