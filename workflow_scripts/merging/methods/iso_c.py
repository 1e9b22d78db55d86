"""Iso-C: the sum of the task vectors with a flat spectrum."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import mean, total
from workflow_scripts.merging.geometry import singular_triples
from workflow_scripts.merging.pieces import Context, Piece, Shape
from workflow_scripts.merging.streaming import Tensor

USES_WEIGHTS = False


def iso_c(
    piece: Piece,
    *,
    scaling: Annotated[float, Field(description="λ, the length of the merged task vector.")] = 1.0,
) -> np.ndarray:
    """Merge by an isotropic spectrum.

    Per encoder matrix: Σ τᵢ = U diag(σ) Vᵀ becomes λ·σ̄·U Vᵀ, σ̄ the mean of all min(m, n) singular values. Directions
    with a singular value below 1e-6 of the largest are not determined and stay 0. Vectors, embedding and head:
    λ Σ τᵢ/K.

    Parameters
    ----------
    piece : Piece
        A whole encoder matrix, or a stretch of another tensor: ``tau`` of shape (K, n).

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Marczak et al. 2025 (arXiv 2502.04959). mergekit has no counterpart. With K = 1 the spectrum is flattened as well.
    """
    if not piece.context.layout.is_encoder_matrix(piece.tensor):
        return mean(piece.tau) * np.float32(scaling)
    summed = total(piece.tau.astype(np.float64)).reshape(piece.tensor.shape)
    left, sigma, right = singular_triples(summed)
    flat = scaling * sigma.sum() / min(summed.shape) * left @ right.T
    return flat.astype(np.float32).reshape(-1)


def shape(tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Shape:
    """Return ``"tensor"`` for the encoder's matrices."""
    return "tensor" if context.layout.is_encoder_matrix(tensor) else "elementwise"
