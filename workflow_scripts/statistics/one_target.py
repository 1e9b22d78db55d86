"""Two systems on one target: tests and intervals of their paired difference that respect clusters."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student

from workflow_scripts.statistics.differences import Differences
from workflow_scripts.statistics.draws import DRAWS, EXACT, all_sums, signs

SIGN_FLIP, DRAWN, MCNEMAR = "sign-flip of clusters, exact", f"sign-flip of clusters, {DRAWS} draws", "McNemar, exact"
TOLERANCE = 1e-6  # relative: sums that differ by rounding alone are equal
MARGIN = 0.02  # a smaller difference of accuracies is of no relevance


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
    no_loss, no_gain : float
        One-sided p of the hypotheses that the effect is a loss, or a gain, of the margin or more.
    """

    effect: float
    low: float
    high: float
    p: float
    error: float
    test: str
    no_loss: float
    no_gain: float


class ClusterInterval(NamedTuple):
    """The interval of a mean of clustered items, its standard error and degrees of freedom; NaN where not known."""

    low: float
    high: float
    error: float
    freedom: float


def compare_on_target(differences: Differences, margin: float = MARGIN) -> list[TestedDifference]:
    """Return the estimate of every pair of systems on one target.

    Exact McNemar where all clusters are single items and every difference is −1, 0 or 1; else sign-flip of the
    clusters' sums: all patterns up to 20 clusters with a difference, 10 000 seeded draws above. Against the margin:
    t-tests with the interval's error.
    """
    tests = _tests(differences)
    estimates = []
    for column, (p, test) in enumerate(tests):
        sums, effect = differences.sums[:, column], float(differences.means[column])
        low, high, error, freedom = cluster_interval(sums, differences.sizes)
        none_differs = (1 - margin) ** len(sums)  # as the interval: 0 of G clusters
        beyond = beyond_margin(effect, error, freedom, margin) if sums.any() else (none_differs, none_differs)
        estimates.append(TestedDifference(effect, low, high, p, error, test, *beyond))
    return estimates


def beyond_margin(effect: float, error: float, freedom: float, margin: float) -> tuple[float, float]:
    """Return the one-sided p of a loss of the margin or more, and of a gain: Student's t; NaN where nothing is known.

    Both small: the difference is of no relevance (two one-sided tests, Schuirmann 1987; Lakens 2017).
    """
    if np.isnan(error):
        return float("nan"), float("nan")
    if error <= 0:
        return float(effect <= -margin), float(effect >= margin)
    return (
        float(student.sf((effect + margin) / error, freedom)),
        float(student.cdf((effect - margin) / error, freedom)),
    )


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


def cluster_interval(sums: np.ndarray, sizes: np.ndarray, level: float = 0.95) -> ClusterInterval:
    """Return the interval of a mean difference of clustered items.

    The error is CR2 (Bell and McCaffrey 2002): √Σ_g(Σ_i(dᵢ − d̄))²/(1 − n_g/n)/n, exactly unbiased for independent
    items, and for clusters of one size whatever their correlation. The degrees of freedom are Satterthwaite's. They are
    those of items that are the same within a cluster: unequal clusters leave the fewest then, as Imbens and Kolesár
    (2016, arXiv 1504.00900) find for real data; clusters of one size have G − 1 in any case. Where no item differs, the
    interval is what the share of clusters that may differ can be: Clopper and Pearson's bound for 0 of G.

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
        return ClusterInterval(-bound, bound, float("nan"), float("nan"))
    if groups == 1:
        return ClusterInterval(*[float("nan")] * 4)
    mean, shares = sums.sum() / n, sizes / n
    residuals = sums - mean * sizes
    error = float(np.sqrt((residuals**2 / (1 - shares)).sum()) / n)
    freedom = satterthwaite(shares)
    half = float(student.ppf((1 + level) / 2, freedom)) * error
    return ClusterInterval(float(mean - half), float(mean + half), error, freedom)


def satterthwaite(shares: np.ndarray) -> float:
    """Return the degrees of freedom of the CR2 variance of a mean: tr(M)²/tr(M²), of its expectation and variance.

    The variance is uᵀu with u_g = a_g(s_g − f_g Σs), a_g = 1/√(1 − f_g), s the clusters' sums with standard deviations
    ∝ f_g; M is the covariance of u.

    Parameters
    ----------
    shares : ndarray, shape (G,)
        f: the share of items that each cluster has.
    """
    a = 1 / np.sqrt(1 - shares)
    b, c, q = a * shares, a * shares**2, (shares**2).sum()  # M = diag(b²) − b cᵀ − c bᵀ + q b bᵀ
    bb, cc, bc = b @ b, c @ c, b @ c
    diagonal = q * b**2 - 2 * b * c
    trace = bb + diagonal.sum()
    squares = (b**4).sum() + 2 * (b**2 * diagonal).sum() + 2 * (bb * cc + bc**2) + q**2 * bb**2 - 4 * q * bb * bc
    return float(trace**2 / squares)
