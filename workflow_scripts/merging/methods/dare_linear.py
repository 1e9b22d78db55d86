"""DARE, linear: drop elements at random, rescale the rest, sum by weight."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import weighted_sum
from workflow_scripts.merging.dropping import RESCALE, Dropping, Rescale, drop, find_dropping, restore_norms
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True


def dare_linear(
    piece: Piece,
    *,
    drop_rate: Annotated[float, Field(ge=0, lt=1, description="p, the share of the elements that is dropped.")] = 0.5,
    rescale: Annotated[Rescale, Field(description=RESCALE)] = "probability",
    seed: Annotated[int, Field(description="Seed of the random masks.")] = 0,
    scaling: Annotated[float, Field(description="λ, the length of the merged task vector.")] = 1.0,
) -> np.ndarray:
    """Merge by drop, rescale and weighted sum.

    λ Σ wᵢτ̃ᵢ, τ̃ᵢ = τᵢ ⊙ Bernoulli(1−p) / (1−p). With ``rescale: l1`` each tensor of τ̃ᵢ is as long (L1 norm) as τᵢ's.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n), ``weights`` of shape (K,) with sum 1; ``state`` makes the masks.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Yu et al. 2023 (arXiv 2311.03099). A mask depends on seed, source, tensor and position only; p is exact to 2⁻⁴⁰.
    mergekit draws from torch's global generator and rescales to the tensor's L1 norm.
    """
    drop(piece, drop_rate)
    restore_norms(piece)
    factor = scaling / (1 - drop_rate) if rescale == "probability" else scaling
    return weighted_sum(piece.tau, piece.weights * factor)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Dropping:
    """Return the random masks, and what restores norms."""
    return find_dropping(sources, parameters, context, lambda piece: drop(piece, parameters["drop_rate"]))
