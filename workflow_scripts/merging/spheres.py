"""Weighted means on a sphere, found from inner products alone."""

import numpy as np

PARALLEL = 0.9995
STEPS, TOLERANCE, SINGULAR, SPANNED = 1000, 1e-9, 1e-7, 1e-12


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
