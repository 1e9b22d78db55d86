"""Geometry of task vectors: combinations found from inner products alone, means on a sphere, singular vectors."""

from collections.abc import Callable, Sequence

import numpy as np

from workflow_scripts.merging.arithmetic import weighted_sum
from workflow_scripts.merging.pieces import Context, Piece, gram, read_base
from workflow_scripts.merging.streaming import Sources

NEGLIGIBLE = 1e-12  # rounding of a sum of coefficients
PARALLEL = 0.9995  # the |cosine| from which on directions count as parallel
STEPS, TOLERANCE, SINGULAR, SPANNED = 1000, 1e-9, 1e-7, 1e-12
CUT = 1e-6  # singular values below this share of the largest count as 0

Coefficients = dict[str, np.ndarray]  # tensor name → coefficients (float64, shape (K,))


def coefficients(
    sources: Sources, context: Context, rule: Callable[[np.ndarray, np.ndarray], np.ndarray], with_base: bool = False
) -> Coefficients:
    """Return each tensor's coefficients.

    Parameters
    ----------
    rule : callable
        (inner products, weights) → coefficients.
    with_base : bool
        Take inner products of whole weights instead of task vectors.
    """
    base = context.base if with_base else None
    return {t.name: rule(gram(sources, t, base), context.weights) for t in sources.tensors}


def combine(piece: Piece, with_base: bool = False) -> np.ndarray:
    """Return Σ cᵢτᵢ with the coefficients in the piece's state; with a base Σ cᵢ(θ₀+τᵢ) − θ₀."""
    chosen = piece.state[piece.tensor.name]
    merged = weighted_sum(piece.tau, chosen)
    excess = chosen.sum() - 1
    if with_base and abs(excess) > NEGLIGIBLE and piece.context.base is not None:
        merged += np.float32(excess) * read_base(piece.context.base, piece.tensor, piece.start, len(merged))
    return merged


def sphere_coefficients(gram: np.ndarray, weights: np.ndarray, parallel: float = PARALLEL) -> np.ndarray:
    """Return the coefficients of the weighted Karcher mean.

    The mean of the directions is a unit vector in their span; its length becomes Σ wᵢ‖τᵢ‖. Sources with zero norm have
    no direction and take part in the length only. Linear (the weights themselves) where all pairs of directions are
    parallel.

    Parameters
    ----------
    gram : ndarray, shape (K, K)
        Inner products.
    weights : ndarray, shape (K,)
    parallel : float
        The |cosine| from which on directions are parallel.

    Returns
    -------
    ndarray, shape (K,)
    """
    norms = np.sqrt(np.diag(gram))
    present = (norms > 0) & (weights > 0)
    cosines = gram[np.ix_(present, present)] / np.outer(norms[present], norms[present])
    if (np.abs(cosines[np.triu_indices_from(cosines, 1)]) > parallel).all():
        return weights
    result = np.zeros_like(weights)
    direction = _karcher(np.clip(cosines, -1, 1), weights[present] / weights[present].sum())
    result[present] = direction * (weights @ norms) / norms[present]
    return result


def raw_slerp_coefficients(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return sin(wᵢΩ)/sin Ω (shape (2,)), Ω the angle between two vectors; the weights where they are parallel."""
    length = np.sqrt(gram[0, 0] * gram[1, 1])
    cosine = np.clip(gram[0, 1] / length, -1, 1) if length > 0 else 0.0
    if abs(cosine) > PARALLEL:
        return weights
    angle = np.arccos(cosine)
    return np.sin(weights * angle) / np.sin(angle)


def _karcher(cosines: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean direction's coefficients over unit vectors."""
    values, vectors = np.linalg.eigh(cosines)
    spanned = values > SPANNED  # directions that are rounding only must not let the mean escape
    units = vectors[:, spanned] * np.sqrt(values[spanned])  # unit vectors with these cosines, one per row
    coefficients, *_ = np.linalg.lstsq(units.T, _mean_direction(units, weights), rcond=SINGULAR)
    return coefficients


def _mean_direction(units: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted Karcher mean of unit vectors by gradient descent."""
    mean = weights @ units
    mean = mean / np.linalg.norm(mean) if np.linalg.norm(mean) > SINGULAR else units[np.argmax(weights)]
    for _ in range(STEPS):
        angles = np.arccos(np.clip(units @ mean, -1, 1))
        across = units - np.cos(angles)[:, None] * mean
        sines = np.linalg.norm(across, axis=1)
        step = np.divide(weights * angles, sines, out=np.zeros_like(sines), where=sines > SINGULAR) @ across
        length = np.linalg.norm(step)
        if length < TOLERANCE:
            break
        moved = np.cos(length) * mean + np.sin(length) / length * step
        mean = moved / np.linalg.norm(moved)
    return mean


def singular_triples(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return U (m, r), σ (r,) in descending order and V (n, r) with matrix = U diag(σ) Vᵀ, without σ ≤ CUT·σ₁."""
    if matrix.shape[0] < matrix.shape[1]:
        v, sigma, u = singular_triples(matrix.T)
        return u, sigma, v
    wide = matrix.astype(np.float64)
    _, right = np.linalg.eigh(wide.T @ wide)
    left = wide @ right
    sigma = np.sqrt(np.einsum("ij,ij->j", left, left))
    order = np.argsort(-sigma, kind="stable")
    order = order[sigma[order] > CUT * sigma.max(initial=0)]
    return left[:, order] / sigma[order], sigma[order], right[:, order]


def polar_factor(matrix: np.ndarray) -> np.ndarray:
    """Return the nearest matrix with orthonormal columns, U Vᵀ (float64); directions that were cut are 0."""
    u, _, v = singular_triples(matrix)
    return u @ v.T


def joint_bases(matrices: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the leading singular vectors of all matrices, made orthogonal, and their singular values.

    Returns
    -------
    tuple of ndarray
        U (m, r), σ (r,), V (n, r): of each matrix max(1, ⌊rank/K⌋) triples, one matrix after the other; U and V are
        polar factors.
    """
    rank = max(1, min(matrices[0].shape) // len(matrices))
    triples = [singular_triples(matrix) for matrix in matrices]
    left, sigma, right = (np.concatenate([t[i][..., :rank] for t in triples], axis=-1) for i in range(3))
    return polar_factor(left), sigma, polar_factor(right)
