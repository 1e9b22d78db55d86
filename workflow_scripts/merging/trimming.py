"""Exact order statistics of streamed values: which elements are among the k largest.

Floats are compared through *keys*: unsigned integers in the same order, where key 0 means "not in scope". A sample gives
a bracket around the wanted key; one pass counts what lies above the bracket and collects what lies inside. Where the
bracket misses, and where there is no sample, a radix search of two passes finds the key: slower, in bounded memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

SMALL = 1 << 22  # elements: below that, the values themselves are collected
COLLECTED = 1 << 24  # elements: a bracket that holds more is given up
ALL = 1 << 62  # a position behind all elements
LARGEST = 0xFFFFFFFF
MAGNITUDE = np.uint32(0x7FFFFFFF)
SIGN = np.uint32(0x80000000)

Stretch = tuple[int, np.ndarray]  # canonical position of the first element; values or keys
Stretches = Callable[[], Iterator[Stretch]]  # starts a pass over all elements in canonical order
Ranks = Callable[[int, int], Sequence[int]]  # number of non-zero keys, number of elements → wanted ranks (1 = largest)


def share(fraction: float, count: int) -> int:
    """Return how many of `count` elements a fraction is: rounded down, at least 1."""
    return max(1, int(fraction * count))


def magnitude_keys(values: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the keys of |values| (float32); zeros are not in scope."""
    return np.bitwise_and(values.view(np.uint32), MAGNITUDE, out=out)


def signed_keys(values: np.ndarray) -> np.ndarray:
    """Return keys in the order of the signed values (float32); none of them is 0."""
    bits = values.view(np.uint32)
    return np.where(bits & SIGN, ~bits, bits | SIGN)


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
        """Return which of the elements from canonical position `first` on are kept."""
        kept = keys >= np.uint32(self.key)
        if first + len(keys) > self.last + 1:
            tail = max(0, self.last + 1 - first)
            np.greater(keys[tail:], np.uint32(self.key), out=kept[tail:])
        return kept

    def apply(self, values: np.ndarray, first: int) -> None:
        """Set those of `values` (float32) to 0 that are not among the largest magnitudes."""
        np.multiply(values, self.keep(magnitude_keys(values), first), out=values)


def exact_threshold(
    stretches: Stretches, density: float, count_all: bool = False, sample: np.ndarray | None = None
) -> Threshold:
    """Find the k largest magnitudes, k = max(1, ⌊density·nnz⌋).

    Parameters
    ----------
    stretches : callable
        Starts a pass: yields (first position, float32 values).
    density : float
        Fraction of the non-zero elements to keep.
    count_all : bool
        Take the fraction of all elements, as papers and mergekit do.
    sample : ndarray of uint32, optional
        See `exact_thresholds`.
    """

    def keys() -> Iterator[Stretch]:
        return ((first, magnitude_keys(values)) for first, values in stretches())

    return exact_thresholds(keys, lambda nnz, total: [share(density, total if count_all else nnz)], sample)[0]


def exact_thresholds(stretches: Stretches, ranks: Ranks, sample: np.ndarray | None = None) -> list[Threshold]:
    """Find the elements of several ranks at once.

    Parameters
    ----------
    stretches : callable
        Starts a pass: yields (first position, uint32 keys).
    ranks : callable
        Wanted ranks; a rank of 0 keeps nothing, one beyond the last non-zero key keeps them all.
    sample : ndarray of uint32, shape (chunks, n), optional
        Keys of evenly spread chunks of the elements.
    """
    brackets = [Bracket(1, LARGEST)] if sample is None else _brackets(sample, ranks)
    nonzero = total = 0
    for _, keys in stretches():
        nonzero += int(np.count_nonzero(keys))
        total += len(keys)
        for bracket in brackets:
            bracket.count(keys)
    wanted = [min(rank, nonzero) for rank in ranks(nonzero, total)]
    found = [_find(stretches, rank, brackets[min(i, len(brackets) - 1)]) for i, rank in enumerate(wanted)]
    lasts = _positions(stretches, [(key, ties) for key, ties, _ in found])
    return [Threshold(f[0], last, k, nonzero) for f, last, k in zip(found, lasts, wanted, strict=True)]
