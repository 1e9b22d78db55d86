"""Dropping elements at random, and making up for what was dropped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from workflow_scripts.merging.arithmetic import mask, scale
from workflow_scripts.merging.context import Context
from workflow_scripts.merging.masks import Masks
from workflow_scripts.merging.pieces import Piece, Shape, pieces
from workflow_scripts.merging.sources import Sources

Rescale = Literal["probability", "l1", "none"]
RESCALE = "Divide by the probability of being kept; restore each tensor's L1 norm, as mergekit does; or neither."


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
        found = np.divide(norms, after[name], out=np.ones_like(norms), where=after[name] > 0)
        dropping.factors[name] = np.nan_to_num(found, nan=1.0, posinf=1.0)  # what is not finite is found in the merge
    return dropping


def _l1(tau: np.ndarray) -> np.ndarray:
    return np.abs(tau).sum(axis=1, dtype=np.float64)
