"""Weighted means on a sphere, found from inner products alone."""

import numpy as np

PARALLEL = 0.9995
STEPS, TOLERANCE = 200, 1e-12


def sphere_coefficients(gram: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the coefficients of the weighted Karcher mean.

    The mean of the directions is a unit vector in their span; its length becomes Σ wᵢ‖τᵢ‖. Sources with zero norm have
    no direction and take part in the length only. Linear (the weights themselves) where all pairs of directions are
    parallel.

    Parameters
    ----------
    gram : ndarray, shape (K, K)
        Inner products.
    weights : ndarray, shape (K,)

    Returns
    -------
    ndarray, shape (K,)
    """
    norms = np.sqrt(np.diag(gram))
    present = (norms > 0) & (weights > 0)
    cosines = gram[np.ix_(present, present)] / np.outer(norms[present], norms[present])
    if (np.abs(cosines[np.triu_indices_from(cosines, 1)]) > PARALLEL).all():
        return weights
    result = np.zeros_like(weights)
    direction = _karcher(np.clip(cosines, -1, 1), weights[present] / weights[present].sum())
    result[present] = direction * (weights @ norms) / norms[present]
    return result


def _karcher(cosines: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean direction's coefficients over unit vectors by Riemannian gradient descent."""
    mean = _unit(weights, cosines)
    for _ in range(STEPS):
        angles = np.arccos(np.clip(cosines @ mean, -1, 1))
        sines = np.sin(angles)
        stretch = weights * np.divide(angles, sines, out=np.ones_like(sines), where=sines > TOLERANCE)
        step = stretch - (stretch @ np.cos(angles)) * mean
        length = np.sqrt(max(0.0, step @ cosines @ step))
        if length < TOLERANCE:
            break
        mean = _unit(np.cos(length) * mean + np.sin(length) / length * step, cosines)
    return mean


def _unit(vector: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Scale coefficients to a unit vector; where they cancel out, take the source with the largest coefficient."""
    square = vector @ cosines @ vector
    return vector / np.sqrt(square) if square > TOLERANCE else np.eye(len(vector))[np.argmax(np.abs(vector))]
