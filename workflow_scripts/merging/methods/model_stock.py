"""Model stock: the mean, pulled towards θ₀ by how much the sources disagree."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.geometry import Coefficients, coefficients, combine
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = False
SINGULAR = 1e-6  # the denominator of r is never below 0, but for rounding


def model_stock(
    piece: Piece,
    *,
    clip: Annotated[bool, Field(description="Keep r within [0, 1]: sources that point apart give θ₀.")] = True,
) -> np.ndarray:
    """Interpolate between θ₀ and the mean.

    Per tensor r · Σ τᵢ/K, r = K·c / (1 + (K−1)·c) clipped to [0, 1], c = the mean pairwise cosine. K = 1: the source.
    A pair with a zero vector has cosine 0. Not clipped, r is negative where c is; at c = −1/(K−1) it is 0.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n); ``state`` holds the coefficients.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Jang et al. 2024 (arXiv 2403.19522). mergekit does not clip, and can take the cosines per row.
    """
    return combine(piece)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Coefficients:
    """Return each tensor's coefficients, r/K."""
    clip = parameters["clip"]
    return coefficients(sources, context, lambda gram, _: np.full(len(gram), _ratio(gram, clip) / len(gram)))


def _ratio(gram: np.ndarray, clip: bool) -> float:
    k = len(gram)
    if k == 1:
        return 1.0
    norms = np.sqrt(np.diag(gram))
    lengths = np.outer(norms, norms)
    cosines = np.divide(gram, lengths, out=np.zeros_like(gram), where=lengths > 0)
    mean = (cosines.sum() - np.trace(cosines)) / (k * (k - 1))
    opposed = 1 + (k - 1) * mean < SINGULAR
    ratio = 0.0 if opposed else float(k * mean / (1 + (k - 1) * mean))
    return min(max(ratio, 0.0), 1.0) if clip else ratio
