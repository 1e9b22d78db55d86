"""Consensus: elements that matter to several sources, then task arithmetic."""

from typing import Annotated

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import mask, task_sum, total
from workflow_scripts.merging.pieces import Piece

USES_WEIGHTS = True


def consensus(
    piece: Piece,
    *,
    mask_threshold: Annotated[
        float, Field(ge=0, description="λ_t: a source's mask holds the elements with |τᵢ| > λ_t · |Σⱼτⱼ − τᵢ|.")
    ] = 0.4,
    min_agree: Annotated[int, Field(ge=1, description="An element is kept if so many masks hold it.")] = 2,
    scaling: Annotated[float, Field(description="λ, the factor of the sum of the task vectors.")] = 0.3,
) -> np.ndarray:
    """Merge by consensus masks, then task arithmetic.

    mᵢ = |τᵢ| > λ_t · |Σⱼτⱼ − τᵢ|; λ Σ K·wᵢ·τᵢ where Σ mᵢ ≥ min_agree, else 0. So with K < min_agree nothing is kept.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n), ``weights`` of shape (K,) with sum 1.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Wang et al. 2024 (arXiv 2405.07813), consensus task arithmetic on TALL masks; λ_t is tuned per task there.
    """
    tau, summed = piece.tau, total(piece.tau)
    votes, other, size = np.zeros(tau.shape[1], np.uint16), np.empty_like(summed), np.empty_like(summed)
    for row in tau:
        np.abs(np.subtract(summed, row, out=other), out=other)
        np.multiply(other, np.float32(mask_threshold), out=other)
        np.add(votes, np.abs(row, out=size) > other, out=votes)
    merged = task_sum(tau, piece.weights, scaling)
    mask(merged, votes >= min_agree)
    return merged
