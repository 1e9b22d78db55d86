"""Directional consensus: of each source only what points in the common direction, per tensor."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from workflow_scripts.merging.geometry import Coefficients, coefficients, combine
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True
ROUNDING = 1e-13  # a squared norm of the sum below this share of the sources' squared norms is 0


def directional_consensus(piece: Piece) -> np.ndarray:
    """Project the task vectors on the direction of their sum, then add them up by weight.

    Per tensor, S = Σ τⱼ (unweighted): (Σ wᵢ⟨τᵢ, S⟩ / ‖S‖²) · S; 0 where S = 0.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n); ``state`` holds the coefficients.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    The older study's "consensus" merge; other libraries have no counterpart. With equal weights it is the average.
    """
    return combine(piece)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Coefficients:
    """Return each tensor's coefficients, the same for all sources."""
    return coefficients(sources, context, _shares)


def _shares(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    on_sum, square = gram.sum(axis=1), gram.sum()
    cancelled = square <= ROUNDING * np.trace(gram)
    return np.full(len(gram), 0.0 if cancelled else weights @ on_sum / square)
