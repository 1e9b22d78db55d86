"""SCORE: the sources' matrices in a common basis, without the interference between its directions."""

from collections.abc import Sequence

import numpy as np

from workflow_scripts.merging.arithmetic import mean
from workflow_scripts.merging.geometry import joint_bases
from workflow_scripts.merging.pieces import Piece, whole_encoder_matrices

USES_WEIGHTS = False
shape = whole_encoder_matrices
WIDTH = 1.96  # standard deviations


def score(piece: Piece) -> np.ndarray:
    """Merge in the orthogonalised singular bases of all sources.

    Per encoder matrix: U and V are those of `tsv_m`, the leading max(1, ⌊rank/K⌋) singular vectors of each source, all
    made orthogonal. Mᵢ = UᵀτᵢV keeps its diagonal, and of its off-diagonal elements those that differ from their mean
    by at most 1.96·sd/K; the others, where one direction disturbs another, become 0. Merged: U (Σ Mᵢ) Vᵀ. Vectors,
    embedding and head: Σ τᵢ/K.

    Parameters
    ----------
    piece : Piece
        A whole encoder matrix, or a stretch of another tensor: ``tau`` of shape (K, n).

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    arXiv 2603.05768. Mean and standard deviation are those of the off-diagonal elements of one Mᵢ. They depend on the
    signs of the singular vectors, which are arbitrary: here the largest element of each column of U is positive.
    """
    if not piece.context.layout.is_encoder_matrix(piece.tensor):
        return mean(piece.tau)
    matrices = [tau.reshape(piece.tensor.shape).astype(np.float64) for tau in piece.tau]
    return _merge(matrices).astype(np.float32).reshape(-1)


def _merge(matrices: Sequence[np.ndarray]) -> np.ndarray:
    left, _, right = joint_bases(matrices)
    largest = left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])]
    left, right = left * np.sign(largest), right * np.sign(largest)
    core = np.zeros((left.shape[1], right.shape[1]))
    for matrix in matrices:
        core += _without_interference(left.T @ matrix @ right, len(matrices))
    return left @ core @ right.T


def _without_interference(inside: np.ndarray, count: int) -> np.ndarray:
    beside = ~np.eye(len(inside), dtype=bool)
    values = inside[beside]
    if values.size:
        inside[beside] = np.where(np.abs(values - values.mean()) <= WIDTH * values.std() / count, values, 0)
    return inside
