"""TSV-Merge: the sources' leading singular vectors, made orthogonal to each other."""

from typing import Annotated

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import mean
from workflow_scripts.merging.geometry import joint_bases
from workflow_scripts.merging.pieces import Piece, whole_encoder_matrices

USES_WEIGHTS = False
shape = whole_encoder_matrices


def tsv_m(
    piece: Piece,
    *,
    scaling: Annotated[float, Field(description="λ, the length of the merged task vector.")] = 1.0,
) -> np.ndarray:
    """Merge by task singular vectors.

    Per encoder matrix: each τᵢ's SVD is truncated to max(1, ⌊rank/K⌋) triples (rank = the smaller side), U, σ and V of
    all sources are concatenated, U and V replaced by their polar factors (nearest orthonormal matrices) Û and V̂:
    λ Û diag(σ) V̂ᵀ. Vectors, embedding and head: λ Σ τᵢ/K. Singular values below 1e-6 of the largest are cut.

    Parameters
    ----------
    piece : Piece
        A whole encoder matrix, or a stretch of another tensor: ``tau`` of shape (K, n).

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Gargiulo et al. 2024 (arXiv 2412.00081). mergekit has no counterpart.
    """
    if not piece.context.layout.is_encoder_matrix(piece.tensor):
        return mean(piece.tau) * np.float32(scaling)
    merged = _merge([tau.reshape(piece.tensor.shape) for tau in piece.tau])
    return (merged * scaling).astype(np.float32).reshape(-1)


def _merge(matrices: list[np.ndarray]) -> np.ndarray:
    left, sigma, right = joint_bases(matrices)
    return left * sigma @ right.T
