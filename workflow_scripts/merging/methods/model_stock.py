"""Model stock: the mean, pulled towards θ₀ by how much the sources disagree."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from workflow_scripts.merging.context import Context
from workflow_scripts.merging.inner_products import Coefficients, coefficients, combine
from workflow_scripts.merging.pieces import Piece
from workflow_scripts.merging.sources import Sources

USES_WEIGHTS = False


def model_stock(piece: Piece) -> np.ndarray:
    """Interpolate between θ₀ and the mean.

    Per tensor r · Σ τᵢ/K, r = K·c / (1 + (K−1)·c) clipped to [0, 1], c = the mean pairwise cosine. K = 1: the source.
    A pair with a zero vector has cosine 0.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n); ``state`` holds the coefficients.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Jang et al. 2024 (arXiv 2403.19522). mergekit does not clip, and can take the cosine over whole models.
    """
    return combine(piece)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Coefficients:
    """Return each tensor's coefficients, r/K."""
    return coefficients(sources, context, lambda gram, _: np.full(len(gram), _ratio(gram) / len(gram)))


def _ratio(gram: np.ndarray) -> float:
    k = len(gram)
    if k == 1:
        return 1.0
    norms = np.sqrt(np.diag(gram))
    lengths = np.outer(norms, norms)
    cosines = np.divide(gram, lengths, out=np.zeros_like(gram), where=lengths > 0)
    mean = (cosines.sum() - np.trace(cosines)) / (k * (k - 1))
    return float(np.clip(k * mean / (1 + (k - 1) * mean), 0, 1)) if mean > 0 else 0.0
