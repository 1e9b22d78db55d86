"""Two systems across targets: the target is the unit."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import t as student

from workflow_scripts.statistics.differences import Differences, shared_clusters
from workflow_scripts.statistics.one_target import MARGIN, TestedDifference, beyond_margin, exact_p
from workflow_scripts.statistics.resampling import drawn_means, overall, resampled_quotients, studentised

MANY = 20  # from so many targets on, the bootstrap
FEW_FAMILIES = 10  # below, families are not drawn
FLIP, CROSSED = "sign-flip over targets, exact", "sign-flip over targets, and t with crossed clusters"
BOOTSTRAP, SHARED = "studentised bootstrap over targets", "studentised bootstrap over targets and shared clusters"
Interval = tuple[float, float]
NOTHING = (float("nan"), float("nan"))


def compare_across(
    targets: Mapping[str, Differences], families: Sequence[str], margin: float = MARGIN
) -> tuple[list[TestedDifference], list[Interval]]:
    """Return the estimates of C pairs of systems over all targets, and the intervals from drawing families.

    Fewer than 20 targets: exact sign-flip over targets and a t-interval. From 20 on: studentised bootstrap over targets
    (Efron 1979; the t-statistic of each draw with its own error), and over families beside it. Clusters that occur in
    several targets make these dependent: they are drawn once for all, and enter the error by two-way clustering
    (Cameron, Gelbach and Miller 2011).

    Parameters
    ----------
    targets : mapping
        Target → differences of the same C pairs.
    families : sequence of str
        The family of each target; below ten families these are not drawn.
    margin : float
        A smaller difference is of no relevance.
    """
    means = np.array([target.means for target in targets.values()])
    shared = shared_clusters(targets)
    if len(targets) < MANY:
        errors = crossed_errors(list(targets.values())) if shared else target_errors(means)
        return [_few(means[:, i], errors[i], shared, margin) for i in range(means.shape[1])], [NOTHING] * means.shape[1]
    groupings = {"targets": np.arange(len(means)), "families": np.unique(np.asarray(families), return_inverse=True)[1]}
    if groupings["families"].max() + 1 < FEW_FAMILIES:
        del groupings["families"]
    drawn = (np.stack(chunk, axis=1) for chunk in drawn_means(targets)) if shared else itertools.repeat(means[None])
    common = common_variance(list(targets.values())) if shared else np.zeros(means.shape[1])
    quotients = resampled_quotients(means, groupings, drawn, common)
    tested = {
        kind: [
            studentised(*of_pair, SHARED if shared else BOOTSTRAP, margin)
            for of_pair in zip(*overall(groups, means, common), quotients[kind].T, strict=True)
        ]
        for kind, groups in groupings.items()
    }
    by_family = [(e.low, e.high) for e in tested["families"]] if "families" in tested else [NOTHING] * means.shape[1]
    return tested["targets"], by_family


def target_errors(means: np.ndarray) -> np.ndarray:
    """Return the standard errors of the means over targets, from differences (T, C)."""
    if len(means) < 2:
        return np.full(means.shape[1], np.nan)
    return means.std(0, ddof=1) / np.sqrt(len(means))


def crossed_errors(targets: Sequence[Differences]) -> np.ndarray:
    """Return two-way robust standard errors, targets crossed with clusters; never below `target_errors`."""
    means = np.array([target.means for target in targets])
    return np.sqrt(target_errors(means) ** 2 + common_variance(targets))


def common_variance(targets: Sequence[Differences]) -> np.ndarray:
    """Return what the clusters that targets share add to the variance of the means over targets, shape (C,).

    The variance of the clusters' sums over targets, less that of its parts, which the targets' spread holds already.
    """
    names = np.unique(np.concatenate([target.clusters for target in targets]))
    common = np.zeros((len(names), targets[0].sums.shape[1]))
    of_targets = np.zeros(targets[0].sums.shape[1])
    for target in targets:
        residuals = (target.sums - target.sizes[:, None] * target.means) / target.n / len(targets)
        common[np.searchsorted(names, target.clusters)] += residuals
        of_targets += (residuals**2).sum(0)
    return np.maximum(0, (common**2).sum(0) - of_targets)


def _few(means: np.ndarray, error: float, shared: bool, margin: float) -> TestedDifference:
    count, effect = len(means), float(means.mean())
    half = float(student.ppf(0.975, count - 1)) * error if count > 1 else float("nan")
    p = exact_p(means)
    if shared and error > 0:
        p = max(p, 2 * float(student.sf(abs(effect) / error, count - 1)))
    beyond = beyond_margin(effect, float(error), count - 1, margin)
    return TestedDifference(effect, effect - half, effect + half, p, float(error), CROSSED if shared else FLIP, *beyond)
