"""Weighted average by similarity: θ₀ + Σ wᵢτᵢ."""

import numpy as np

from workflow_scripts.merging.arithmetic import weighted_sum
from workflow_scripts.merging.pieces import Piece

USES_WEIGHTS = True


def similarity(piece: Piece) -> np.ndarray:
    """Average the task vectors with the selected weights.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n), ``weights`` of shape (K,) with sum 1.

    Returns
    -------
    ndarray of float32, shape (n,)
    """
    return weighted_sum(piece.tau, piece.weights)
