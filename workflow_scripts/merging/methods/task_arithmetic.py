"""Task arithmetic: the scaled sum of the task vectors, θ₀ + λ Σ K·wᵢ·τᵢ."""

from typing import Annotated

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import task_sum
from workflow_scripts.merging.pieces import Piece

USES_WEIGHTS = True


def task_arithmetic(
    piece: Piece,
    *,
    scaling: Annotated[float, Field(description="λ, the factor of the sum of the task vectors.")] = 0.3,
) -> np.ndarray:
    """Add up the task vectors.

    λ Σ K·wᵢ·τᵢ: with equal weights each task vector counts λ. At K = 3 and λ = 0.3 that is 0.9 times the weighted mean.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n), ``weights`` of shape (K,) with sum 1.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Ilharco et al. 2022 (arXiv 2212.04089), who tune one λ for all tasks and have no weights. mergekit's
    ``task_arithmetic`` takes raw weights: there, λ·K·wᵢ is the weight.
    """
    return task_sum(piece.tau, piece.weights, scaling)
