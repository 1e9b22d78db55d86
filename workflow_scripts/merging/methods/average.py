"""Uniform average: θ₀ + Σ τᵢ/K."""

import numpy as np

from workflow_scripts.merging.arithmetic import mean
from workflow_scripts.merging.pieces import Piece

USES_WEIGHTS = False


def average(piece: Piece) -> np.ndarray:
    """Average the task vectors, whatever the selected weights.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n).

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Wortsman et al. 2022, "Model soups" (arXiv 2203.05482); mergekit's ``linear`` with equal weights.
    """
    return mean(piece.tau)
