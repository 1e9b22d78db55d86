"""Exact thresholds of streamed values: which elements are among the k largest of a tensor or of the whole model.

Floats are compared through *keys*: unsigned integers in the same order, where key 0 means "not in scope". A sample
gives a bracket around the wanted key; one pass counts what lies above the bracket and collects what lies inside. Where
the bracket misses or holds too much, a radix search of two passes finds the key in bounded memory. A *scope* is a run
of tensors whose elements compete for being kept.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod

import numpy as np

from workflow_scripts.merging.arithmetic import mask
from workflow_scripts.merging.pieces import Context
from workflow_scripts.merging.streaming import PIECE, Sources, Tensor

COLLECTED = 1 << 24  # a bracket that holds more keys is given up
DEVIATIONS = 6  # a bracket reaches so many standard errors to either side
LARGEST = 0xFFFFFFFF
HALF = 16  # bits per pass of the radix search
ALL = 1 << 62  # a position behind all elements
MAGNITUDE, SIGN = np.uint32(0x7FFFFFFF), np.uint32(0x80000000)
SMALL = 1 << 22  # elements: a smaller scope needs no sample
CHUNKS, CHUNK = 4096, 256  # a sample

Stretch = tuple[int, np.ndarray]  # canonical position of the first element; values or keys
Stretches = Callable[[], Iterator[Stretch]]  # starts a pass over all elements in canonical order
Ranks = Callable[[int, int], Sequence[int]]  # number of non-zero keys, number of elements → wanted ranks (1 = largest)
Read = Callable[[Tensor, int, int], np.ndarray]  # tensor, start, count → uint32 keys; may reuse one array


@dataclass(frozen=True)
class Cut:
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


def brackets(sample: np.ndarray, ranks: Ranks) -> list[Bracket]:
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
    guesses = []
    for rank in ranks(len(ordered), sample.size):
        at = len(ordered) - min(max(rank, 1), len(ordered))
        above = np.count_nonzero(sample >= ordered[at], axis=1)
        spread = np.std(above - counts * (len(ordered) - at) / len(ordered)) * np.sqrt(len(sample))
        margin = int(DEVIATIONS * spread) + 2 * DEVIATIONS
        low = int(ordered[at - margin]) if at >= margin else 1
        high = int(ordered[at + margin]) if at + margin < len(ordered) else LARGEST
        guesses.append(Bracket(low, high))
    return guesses


def find(stretches: Stretches, rank: int, bracket: Bracket) -> Cut:
    """Return the key of a rank (1 = largest; at most the number of non-zero keys; 0: a key beyond all)."""
    if rank == 0:
        return Cut(LARGEST, 0, 0)
    if bracket.inside is None or not bracket.above < rank <= bracket.above + bracket.size:
        return radix_search(stretches, rank)
    inside = np.concatenate(bracket.inside)
    place = len(inside) - (rank - bracket.above)
    key = np.partition(inside, place)[place]
    larger = bracket.above + int(np.count_nonzero(inside > key))
    return Cut(int(key), larger, int(np.count_nonzero(inside == key)))


def radix_search(stretches: Stretches, rank: int) -> Cut:
    """Return the key of a rank by two histograms: of the upper half of the bits, then of the lower."""
    upper = _histogram(keys >> HALF for _, keys in stretches())
    top, larger = _bin(upper, rank)
    lower = _histogram(keys[keys >> HALF == top] & np.uint32((1 << HALF) - 1) for _, keys in stretches())
    bottom, more = _bin(lower, rank - larger)
    return Cut(top << HALF | bottom, larger + more, int(lower[bottom]))


def _histogram(parts: Iterator[np.ndarray]) -> np.ndarray:
    return sum((np.bincount(p, minlength=1 << HALF) for p in parts), start=np.zeros(1 << HALF, np.int64))


def _bin(histogram: np.ndarray, rank: int) -> tuple[int, int]:
    """Return the bin that holds a rank, and the number of keys in the bins above it."""
    from_top = np.cumsum(histogram[::-1])
    place = int(np.searchsorted(from_top, rank))
    return len(histogram) - 1 - place, int(from_top[place - 1]) if place else 0


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
    cuts = [find(stretches, rank, guessed[min(i, len(guessed) - 1)]) for i, rank in enumerate(wanted)]
    lasts = _last_positions(stretches, wanted, cuts)
    return [Threshold(f.key, last, rank, nonzero) for f, last, rank in zip(cuts, lasts, wanted, strict=True)]


def _last_positions(stretches: Stretches, ranks: list[int], cuts: list[Cut]) -> list[int]:
    """Return for each rank the position of its last kept tie; a pass is needed only where not all ties are kept."""
    left = {i: rank - f.larger for i, (rank, f) in enumerate(zip(ranks, cuts, strict=True))}
    lasts = [-1 if left[i] == 0 else ALL for i in range(len(ranks))]
    pending = {i for i, ties in left.items() if 0 < ties < cuts[i].equal}
    for first, keys in stretches() if pending else ():
        for i in sorted(pending):
            equal = np.flatnonzero(keys == np.uint32(cuts[i].key))
            if len(equal) >= left[i]:
                lasts[i] = first + int(equal[left[i] - 1])
                pending.discard(i)
            left[i] -= len(equal)
        if not pending:
            break
    return lasts


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
        """Return the exact thresholds of several ranks; see `exact_thresholds`."""
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
    thresholds = {}
    scopes = {t.name: [t] for t in sources.tensors} if per_tensor else {None: sources.tensors}
    for name, tensors in scopes.items():
        counted = population(context, tensors, count, whole=name is None)
        wanted = partial(_ranks, ranks, counted)
        thresholds[name] = [_magnitudes(sources, i, tensors).thresholds(wanted) for i in range(len(sources.files))]
    return thresholds


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
