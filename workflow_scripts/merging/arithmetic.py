"""Sums over sources, written so that an element's bits do not depend on its place in a piece (no BLAS)."""

import numpy as np


def total(tau: np.ndarray) -> np.ndarray:
    """Return Σ τᵢ (shape (n,)) of `tau` (shape (K, n))."""
    if len(tau) == 1:
        return tau[0].copy()
    result = tau[0] + tau[1]
    for row in tau[2:]:
        np.add(result, row, out=result)
    return result


def mean(tau: np.ndarray) -> np.ndarray:
    """Return Σ τᵢ/K (float32, shape (n,))."""
    result = total(tau)
    return np.divide(result, np.float32(len(tau)), out=result)


def weighted_sum(tau: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Σ wᵢτᵢ (float32, shape (n,)); `tau` is overwritten and holds the result."""
    scale(tau, weights)
    for row in tau[1:]:
        np.add(tau[0], row, out=tau[0])
    return tau[0]


def task_sum(tau: np.ndarray, weights: np.ndarray, scaling: float) -> np.ndarray:
    """Return the task arithmetic λ Σ K·wᵢ·τᵢ (float32, shape (n,)); `tau` is overwritten and holds the result."""
    return weighted_sum(tau, weights * (scaling * len(tau)))


def mask(values: np.ndarray, keep: np.ndarray) -> None:
    """Set the elements (float32) that are not to be kept to +0, whatever they are; faster than by boolean index."""
    bits = values.view(np.uint32)
    np.multiply(bits, keep, out=bits)


def scale(tau: np.ndarray, weights: np.ndarray) -> None:
    """Multiply each source's elements by its weight."""
    for row, weight in zip(tau, weights.astype(np.float32), strict=True):
        np.multiply(row, weight, out=row)


def disjoint_merge(
    tau: np.ndarray, weights: np.ndarray, *, vote_weighted: bool = True, normalize: bool = True
) -> np.ndarray:
    """Elect a sign per element and merge the sources that agree with it.

    s = sgn Σ wᵢτᵢ (unweighted: sgn Σ τᵢ; sgn 0 = +). A source agrees where τᵢ ≠ 0 and sgn τᵢ = s.

    Parameters
    ----------
    tau : ndarray of float32, shape (K, n)
        Overwritten.
    weights : ndarray, shape (K,)
    vote_weighted : bool
    normalize : bool
        Divide by the agreeing weight.

    Returns
    -------
    ndarray of float32, shape (n,)
        Σ_agree wᵢτᵢ, or Σ_agree wᵢτᵢ / Σ_agree wᵢ; 0 where no source agrees.
    """
    votes = None if vote_weighted else total(tau)
    scale(tau, weights)
    sign = _sign(total(tau) if votes is None else votes)
    agrees, spare = np.empty(tau.shape[1], bool), np.empty(tau.shape[1], np.float32)
    weight = np.zeros(tau.shape[1] if normalize else 0, np.float32)
    for row, share in zip(tau, weights.astype(np.float32), strict=True):
        np.multiply(row, sign, out=row)
        np.greater(row, 0, out=agrees)
        mask(row, agrees)
        if normalize:
            np.add(weight, np.multiply(agrees, share, out=spare), out=weight)
    merged = total(tau)
    if normalize:
        divide(merged, weight)
    return np.multiply(merged, sign, out=merged)


def divide(values: np.ndarray, weight: np.ndarray) -> None:
    """Divide by weights (float32, 0 or more; overwritten) where they are not 0; far faster than numpy's `where`."""
    np.add(weight, weight == 0, out=weight)
    np.divide(values, weight, out=values)


def _sign(votes: np.ndarray) -> np.ndarray:
    """Return ±1 (float32); the sign of 0 is +."""
    sign = (votes < 0).astype(np.float32)
    np.multiply(sign, -2, out=sign)
    return np.add(sign, 1, out=sign)
