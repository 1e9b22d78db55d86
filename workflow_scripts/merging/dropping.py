"""Dropping elements at random, and making up for what was dropped.

A random mask depends on (seed, source name, tensor name, position) only. Its bits come from Philox, a counter-based
generator, advanced to an element's position in the *full* tensor. So neither piece size, nor the order of the sources,
nor storage by rows, nor threads change a mask.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.random import Philox

from workflow_scripts.merging.arithmetic import mask, scale
from workflow_scripts.merging.pieces import Context, Piece, Shape, pieces
from workflow_scripts.merging.streaming import Sources, Tensor

BLOCK = 32  # bytes per step of Philox's counter
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ divided by the golden ratio
FINE = 32  # bits after the first byte: a probability is resolved to 2⁻⁴⁰

Rescale = Literal["probability", "l1", "none"]
RESCALE = "Divide by the probability of being kept; restore each tensor's L1 norm, as mergekit does; or neither."


class Masks:
    """The random numbers of one merge.

    Parameters
    ----------
    seed : int
    names : sequence of str
        The sources.
    """

    def __init__(self, seed: int, names: Sequence[str]) -> None:
        self.seed, self.names = seed, names
        self._generators: dict[tuple[int, str], tuple[Philox, int]] = {}

    def bernoulli(self, source: int, tensor: Tensor, start: int, count: int, probability: float) -> np.ndarray:
        """Return a mask (bool, shape (count,)) that is True with a probability, exact to 2⁻⁴⁰.

        Parameters
        ----------
        source : int
        tensor : Tensor
        start, count : int
            A stretch of the aligned tensor.
        """
        coarse, fine = divmod(round(probability * 2 ** (8 + FINE)), 2**FINE)
        random = self.integers(source, tensor, start, count, np.uint8)
        drawn = np.ones(count, bool) if coarse > 255 else random < coarse
        if fine:
            undecided = np.flatnonzero(random == coarse)
            drawn[undecided] = self._fine(source, tensor, start, undecided) < fine
        return drawn

    def integers(self, source: int, tensor: Tensor, start: int, count: int, dtype: type[np.integer]) -> np.ndarray:
        """Return uniform unsigned integers (shape (count,)), one per element of a stretch of the aligned tensor."""
        out = np.empty(count, dtype)
        for offset, position, length in spans(tensor, start, count):
            data = self._bytes(source, tensor, position * out.itemsize, length * out.itemsize)
            out[offset : offset + length] = data.view(dtype)
        return out

    def _bytes(self, source: int, tensor: Tensor, start: int, count: int) -> np.ndarray:
        first, last = start // BLOCK, -(-(start + count) // BLOCK)
        generator, at = self._generators.get((source, tensor.name)) or (Philox(key=self._key(source, tensor)), 0)
        if first != at:
            generator.advance(first - at)
        words = generator.random_raw((last - first) * BLOCK // 8)
        self._generators[source, tensor.name] = generator, last
        return words.view(np.uint8)[start - first * BLOCK :][:count]

    def _key(self, source: int, tensor: Tensor) -> int:
        text = f"{self.seed}\x1f{self.names[source]}\x1f{tensor.name}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")

    def _fine(self, source: int, tensor: Tensor, start: int, offsets: np.ndarray) -> np.ndarray:
        """Return 32 random bits for each of a few elements: splitmix64 of key and position."""
        flat = start + offsets
        if tensor.rows is not None:
            flat = tensor.rows[flat // tensor.width] * tensor.width + flat % tensor.width
        mixed = np.uint64(self._key(source, tensor) >> 64) + (flat.astype(np.uint64) + np.uint64(1)) * GOLDEN
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        return (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)


def spans(tensor: Tensor, start: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Yield (offset in the stretch, position in the full tensor, length) of a stretch's contiguous parts."""
    if tensor.rows is None or not count:
        yield 0, start, count
        return
    width = tensor.width
    top, bottom = start // width, -(-(start + count) // width)
    rows = tensor.rows[top:bottom]
    edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    for first, last in pairwise(edges):
        low, high = max(start, (top + first) * width), min(start + count, (top + last) * width)
        yield low - start, int(rows[first]) * width + low - (top + first) * width, high - low


@dataclass(frozen=True)
class Dropping:
    """What a first pass finds out for a method that drops elements.

    Attributes
    ----------
    masks : Masks
    factors : dict of str to ndarray
        Tensor name → each source's factor (float64, shape (K,)) that restores its L1 norm; empty if not asked for.
    """

    masks: Masks
    factors: dict[str, np.ndarray] = field(default_factory=dict)


def drop(piece: Piece, rate: float) -> None:
    """Set each element of a piece to 0 with probability `rate`; the piece's state is a `Dropping`."""
    for source, values in enumerate(piece.tau):
        kept = piece.state.masks.bernoulli(source, piece.tensor, piece.start, len(values), 1 - rate)
        mask(values, kept)


def restore_norms(piece: Piece) -> None:
    """Multiply each source's elements by the factor of its tensor, if there are factors."""
    if piece.state.factors:
        scale(piece.tau, piece.state.factors[piece.tensor.name])


def find_dropping(
    sources: Sources,
    parameters: Mapping[str, Any],
    context: Context,
    drop_piece: Callable[[Piece], None],
    shape: Shape = "elementwise",
) -> Dropping:
    """Return the masks, and for ``rescale: l1`` the factors ‖τ‖₁/‖what is left of τ‖₁ (1 where nothing is left).

    Parameters
    ----------
    drop_piece : callable
        Drops elements of a piece just as the merge will.
    shape : str
        The pieces that it needs.
    """
    dropping = Dropping(Masks(parameters["seed"], context.names))
    if parameters["rescale"] != "l1":
        return dropping
    before = {t.name: np.zeros(len(context.names)) for t in sources.tensors}
    after = {name: zeros.copy() for name, zeros in before.items()}
    for piece in pieces(sources, context, lambda _: shape, dropping):
        before[piece.tensor.name] += _l1(piece.tau)
        drop_piece(piece)
        after[piece.tensor.name] += _l1(piece.tau)
    for name, norms in before.items():
        ratios = np.divide(norms, after[name], out=np.ones_like(norms), where=after[name] > 0)
        dropping.factors[name] = np.nan_to_num(ratios, nan=1.0, posinf=1.0)  # what is not finite is found in the merge
    return dropping


def _l1(tau: np.ndarray) -> np.ndarray:
    return np.abs(tau).sum(axis=1, dtype=np.float64)
