"""Training noise: differences of targets crossed with seeds, both drawn from many."""

from collections.abc import Iterable

import numpy as np
from scipy.stats import t as student

from workflow_scripts.statistics.one_target import MARGIN, TestedDifference, beyond_margin
from workflow_scripts.statistics.verdicts import SEEDS

REML = "REML, targets crossed with seeds"
UNKNOWN = float("nan")


def crossed(values: np.ndarray, common: float = 0.0, margin: float = MARGIN) -> TestedDifference:
    """Return the mean of differences per target and seed, with both random: interval and tests.

    d_ts = μ + a_t + b_s + e_ts, with variances of targets, seeds and the rest by restricted maximum likelihood; in this
    balanced design that is the analysis of variance, a component that would be negative left out (Searle, Casella and
    McCulloch 1992, chapter 4), and needs no iterations: Var(mean) = (MS_targets + MS_seeds − MS_rest)/TS. Degrees of
    freedom: Satterthwaite's. NaN below three seeds, which measure no noise, and for one target.

    Parameters
    ----------
    values : ndarray, shape (T, S)
        One difference per target and seed.
    common : float
        Variance of the mean by clusters that targets share, which enter beside.
    margin : float
    """
    targets, seeds = values.shape
    effect = float(values.mean())
    if targets < 2 or seeds < SEEDS:
        return TestedDifference(effect, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, REML, UNKNOWN, UNKNOWN)
    variance, freedom = _variance(values)
    if common:
        variance, freedom = variance + common, freedom * ((variance + common) / max(variance, 1e-300)) ** 2
    error = float(np.sqrt(variance))
    half = float(student.ppf(0.975, freedom)) * error
    p = 2 * float(student.sf(abs(effect) / error, freedom)) if error > 0 else float(effect == 0)
    beyond = beyond_margin(effect, error, freedom, margin)
    return TestedDifference(effect, effect - half, effect + half, p, error, REML, *beyond)


def not_equivalent(estimates: Iterable[TestedDifference]) -> float:
    """Return the largest p of the margin's one-sided tests of estimates of one difference; NaN where none is known."""
    known = [max(e.no_loss, e.no_gain) for e in estimates if not np.isnan(e.no_gain)]
    return max(known, default=UNKNOWN)


def _variance(values: np.ndarray) -> tuple[float, float]:
    """Return the variance of the mean and its degrees of freedom."""
    targets, seeds = values.shape
    n, mean = values.size, values.mean()
    rows, columns = values.mean(1) - mean, values.mean(0) - mean
    sums = np.array([seeds * rows @ rows, targets * columns @ columns, 0.0])
    sums[2] = ((values - mean - rows[:, None] - columns) ** 2).sum()
    freedom = np.array([targets - 1, seeds - 1, (targets - 1) * (seeds - 1)], float)
    of_targets, of_seeds, rest = sums / freedom
    without_seeds, without_targets = ((sums[i] + sums[2]) / (freedom[i] + freedom[2]) for i in (1, 0))
    if of_seeds <= rest:
        whole = of_targets <= without_seeds  # nor do targets differ
        return (sums.sum() / (n - 1) / n, n - 1.0) if whole else (of_targets / n, freedom[0])
    if of_targets <= rest:
        whole = of_seeds <= without_targets
        return (sums.sum() / (n - 1) / n, n - 1.0) if whole else (of_seeds / n, freedom[1])
    variance = of_targets + of_seeds - rest
    return variance / n, variance**2 / float((np.array([of_targets, of_seeds, rest]) ** 2 / freedom).sum())
