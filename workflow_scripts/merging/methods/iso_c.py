"""Iso-C: the sum of the task vectors with a flat spectrum."""

from typing import Annotated

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import mean, total
from workflow_scripts.merging.geometry import singular_triples
from workflow_scripts.merging.pieces import Piece, whole_encoder_matrices

USES_WEIGHTS = False
shape = whole_encoder_matrices
LENGTH = 3.0  # λ√K where λ is not given


def iso_c(
    piece: Piece,
    *,
    scaling: Annotated[
        float | None, Field(description="λ, the length of the merged task vector; null: 3/√K. Tune it.")
    ] = None,
) -> np.ndarray:
    """Merge by an isotropic spectrum.

    Per encoder matrix: Σ τᵢ = U diag(σ) Vᵀ becomes λ·σ̄·U Vᵀ, σ̄ the mean of all min(m, n) singular values. Directions
    with a singular value below 1e-6 of the largest are not determined and stay 0. Vectors, embedding and head:
    λ Σ τᵢ/K.

    There is no good default for λ. Σ τᵢ is about √K times as long as one τᵢ where task vectors share little, so that
    what has to be chosen is λ√K, for any number of sources; ``scaling: null`` takes λ√K = 3. That is a start, not an
    optimum: the best λ√K was 2.9 for one set of models and above 3.8 for another.

    Parameters
    ----------
    piece : Piece
        A whole encoder matrix, or a stretch of another tensor: ``tau`` of shape (K, n).

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Marczak et al. 2025 (arXiv 2502.04959), who tune λ on validation data. mergekit has no
    counterpart. With K = 1 the spectrum is flattened as well.
    """
    length = LENGTH / len(piece.tau) ** 0.5 if scaling is None else scaling
    if not piece.context.layout.is_encoder_matrix(piece.tensor):
        return mean(piece.tau) * np.float32(length)
    summed = total(piece.tau.astype(np.float64)).reshape(piece.tensor.shape)
    left, sigma, right = singular_triples(summed)
    flat = length * sigma.sum() / min(summed.shape) * left @ right.T
    return flat.astype(np.float32).reshape(-1)
