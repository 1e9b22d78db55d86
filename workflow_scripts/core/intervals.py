"""Accuracies of clustered items, with intervals."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Accuracy:
    """A mean correctness with its 95 % interval.

    Attributes
    ----------
    value : float
    n, clusters : int
        Items and clusters.
    n_effective : float
        Number of independent items that would carry as much information, at most `n`.
    low, high : float
        Wilson interval on the effective n.
    """

    value: float
    n: int
    clusters: int
    n_effective: float
    low: float
    high: float


def clustered_accuracy(correct: np.ndarray, clusters: np.ndarray, level: float = 0.95) -> Accuracy:
    """Return an accuracy whose interval respects clusters.

    The variance of the mean is that of the clusters' summed residuals, G/(G−1)·Σ_g(Σ_i(xᵢ − p))²/n²; its ratio to
    p(1 − p)/n is the design effect, and n divided by it the effective n (never above n). Where every cluster is one
    item this is plain Wilson. Where all items agree, or there is one cluster, the
    variance says nothing, and the number of clusters is taken.

    Parameters
    ----------
    correct : ndarray, shape (n,)
        0 or 1 per item, or the mean correctness of several models.
    clusters : ndarray, shape (n,)
        The cluster of each item.
    level : float
        Coverage.

    Returns
    -------
    Accuracy
    """
    from statsmodels.stats.proportion import proportion_confint

    correct = np.asarray(correct, float)
    n, value = len(correct), float(np.mean(correct))
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(index.max()) + 1
    effective = float(n) if groups == n else _effective_n(correct, index, groups)
    low, high = proportion_confint(value * effective, effective, alpha=1 - level, method="wilson")
    return Accuracy(value, n, groups, effective, float(low), float(high))


def _effective_n(correct: np.ndarray, index: np.ndarray, groups: int) -> float:
    n, value = len(correct), correct.mean()
    residuals = np.bincount(index, correct - value, minlength=groups)
    variance = groups / max(1, groups - 1) * float(residuals @ residuals) / n**2
    independent = value * (1 - value) / n
    if independent <= 0 or groups == 1:
        return float(groups)
    return float(min(n, n * independent / max(variance, np.finfo(float).tiny)))
