"""Two systems on one target: tests and intervals of their paired difference that respect clusters."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student

from workflow_scripts.statistics.differences import Differences
from workflow_scripts.statistics.draws import DRAWS, EXACT, all_sums, signs

SIGN_FLIP, DRAWN, MCNEMAR = "sign-flip of clusters, exact", f"sign-flip of clusters, {DRAWS} draws", "McNemar, exact"
TOLERANCE = 1e-6  # relative: sums that differ by rounding alone are equal


@dataclass(frozen=True)
class TestedDifference:
    """A mean difference with its 95 % interval and test.

    Attributes
    ----------
    effect, low, high, p : float
        NaN where there is too little to compute one.
    error : float
        Standard error of the effect.
    test : str
    """

    effect: float
    low: float
    high: float
    p: float
    error: float
    test: str


def compare_on_target(differences: Differences) -> list[TestedDifference]:
    """Return the estimate of every pair of systems on one target.

    Exact McNemar where all clusters are single items and every difference is −1, 0 or 1; else sign-flip of the
    clusters' sums: all patterns up to 20 clusters with a difference, 10 000 seeded draws above.
    """
    tests = _tests(differences)
    estimates = []
    for column, (p, test) in enumerate(tests):
        low, high, error = cluster_interval(differences.sums[:, column], differences.sizes)
        estimates.append(TestedDifference(float(differences.means[column]), low, high, p, error, test))
    return estimates


def _tests(differences: Differences) -> list[tuple[float, str]]:
    tests = [
        _exact_test(differences.sums[:, column], differences.single) for column in range(differences.sums.shape[1])
    ]
    rest = [column for column, (_, test) in enumerate(tests) if test == DRAWN]
    for column, p in zip(rest, drawn_p(differences.sums[:, rest]) if rest else (), strict=True):
        tests[column] = (float(p), DRAWN)
    return tests


def _exact_test(sums: np.ndarray, single: bool) -> tuple[float, str]:
    """Return the exact p; NaN where signs have to be drawn."""
    sums = sums[sums != 0]
    if single and np.isin(sums, (-1, 1)).all():
        return mcnemar(int((sums > 0).sum()), int((sums < 0).sum())), MCNEMAR
    if len(sums) <= EXACT:
        return exact_p(sums), SIGN_FLIP
    return float("nan"), DRAWN


def mcnemar(better: int, worse: int) -> float:
    """Return the two-sided p of the exact McNemar test: items that only the first, only the second gets right."""
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def exact_p(differences: np.ndarray) -> float:
    """Return the two-sided p of the sign-flip test by all sign patterns of at most 20 differences (k,)."""
    if len(differences) == 0:
        return 1.0
    sums = np.abs(all_sums(differences, -differences))
    return float((sums >= abs(differences.sum()) - TOLERANCE * np.abs(differences).sum()).mean())


def drawn_p(differences: np.ndarray) -> np.ndarray:
    """Return the two-sided p of the sign-flip test by seeded draws, for every column of differences (k, C)."""
    flipped = np.abs(signs(len(differences)) @ differences.astype(np.float32))
    observed = np.abs(differences.sum(0)) - TOLERANCE * np.abs(differences).sum(0)
    return ((flipped >= observed).sum(0) + 1) / (DRAWS + 1)


def cluster_interval(sums: np.ndarray, sizes: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return low, high and standard error of a mean difference.

    The error is cluster-robust, √(G/(G−1)·Σ_g(Σ_i(dᵢ − d̄))²)/n, the quantile Student's with G−1 degrees of freedom.
    Where no item differs, the interval is what the share of clusters that may differ can be: Clopper and Pearson's
    bound for 0 of G.

    Parameters
    ----------
    sums, sizes : ndarray, shape (G,)
        Summed differences and items per cluster.
    level : float
        Coverage.
    """
    groups, n = len(sums), sizes.sum()
    if not sums.any():
        bound = 1 - ((1 - level) / 2) ** (1 / groups)
        return -bound, bound, float("nan")
    if groups == 1:
        return float("nan"), float("nan"), float("nan")
    mean = sums.sum() / n
    residuals = sums - mean * sizes
    error = float(np.sqrt(groups / (groups - 1) * residuals @ residuals) / n)
    half = float(student.ppf((1 + level) / 2, groups - 1)) * error
    return float(mean - half), float(mean + half), error
