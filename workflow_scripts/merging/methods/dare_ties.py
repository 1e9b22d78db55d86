"""DARE-TIES: drop elements at random, elect a sign, sum those that agree."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import disjoint_merge
from workflow_scripts.merging.dropping import RESCALE, Dropping, Rescale, drop, find_dropping, restore_norms
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True


def dare_ties(
    piece: Piece,
    *,
    drop_rate: Annotated[float, Field(ge=0, lt=1, description="p, the share of the elements that is dropped.")] = 0.5,
    normalize: Annotated[bool, Field(description="Divide by the agreeing sources' weight, as TIES does.")] = False,
    rescale: Annotated[Rescale, Field(description=RESCALE)] = "probability",
    seed: Annotated[int, Field(description="Seed of the random masks.")] = 0,
    scaling: Annotated[float, Field(description="λ, the length of the merged task vector.")] = 1.0,
) -> np.ndarray:
    """Merge by drop, rescale, elect sign and disjoint sum.

    τ̃ᵢ = τᵢ ⊙ Bernoulli(1−p) / (1−p), s = sgn Σ wᵢτ̃ᵢ (sgn 0 = +). Merged: λ Σ_agree wᵢτ̃ᵢ.
    With ``rescale: l1`` each tensor of τ̃ᵢ is as long (L1 norm) as τᵢ's instead of divided by 1−p.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n), ``weights`` of shape (K,) with sum 1; ``state`` makes the masks.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Yu et al. 2023 (arXiv 2311.03099). Rescaling makes up for the dropped elements; dividing by the agreeing weight as
    well would count them twice (2.7 times too long at p = 0.9, K = 3), hence ``normalize: false``, as in mergekit.
    A mask depends on seed, source, tensor and position only; p is exact to 2⁻⁴⁰.
    """
    drop(piece, drop_rate)
    restore_norms(piece)
    factor = scaling / (1 - drop_rate) if rescale == "probability" else scaling
    merged = disjoint_merge(piece.tau, piece.weights, normalize=normalize)
    return np.multiply(merged, np.float32(factor), out=merged)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Dropping:
    """Return the random masks, and what restores norms."""
    return find_dropping(sources, parameters, context, lambda piece: drop(piece, parameters["drop_rate"]))
