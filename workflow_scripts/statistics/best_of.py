"""The best of several merges, chosen on the test data that also judge it: what chance alone would give."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workflow_scripts.statistics.across_targets import NOTHING, common_variance
from workflow_scripts.statistics.differences import Differences, shared_clusters
from workflow_scripts.statistics.draws import DRAWS, EXACT, all_sums, signs
from workflow_scripts.statistics.one_target import TOLERANCE, TestedDifference
from workflow_scripts.statistics.resampling import drawn_means, overall, resampled_quotients, studentised
from workflow_scripts.statistics.verdicts import chance_band

TEST = "sign-flip of targets' vectors, best chosen anew"
FEWEST = 5  # targets, to draw them


@dataclass(frozen=True)
class BestOf:
    """The best merge of each target, chosen on test data.

    Attributes
    ----------
    estimate : TestedDifference
        Mean difference; its p is one-sided: is the best better than the best of noise? The interval takes the choice
        into account, though not all of it where merges are nearly equal.
    chance : float
        The mean difference that chance gives.
    improved, hurt : int
        Targets.
    band : (int, int)
        What 95 % of the counts of improved targets are by chance.
    """

    estimate: TestedDifference
    chance: float
    improved: int
    hurt: int
    band: tuple[int, int]


def best_of(targets: Mapping[str, Differences]) -> BestOf:
    """Return the best of several merges against a baseline; `targets`: target → a column for each of its merges.

    Every draw chooses the best anew: by chance a target's whole vector of differences has either sign, and in the
    bootstrap clusters and targets are drawn together.
    """
    best = np.array([target.means.max() for target in targets.values()])
    flipped = np.array([-target.means.min() for target in targets.values()])
    low, high, error = _interval(targets, best)
    return BestOf(
        TestedDifference(float(best.mean()), low, high, _p(best, flipped), error, TEST, *NOTHING),
        float((best.mean() + flipped.mean()) / 2),
        int((best > 0).sum()),
        int((best < 0).sum()),
        chance_band(best > 0, flipped > 0),
    )


def _p(best: np.ndarray, flipped: np.ndarray) -> float:
    reached = best.sum() - TOLERANCE * np.abs(best).sum()
    if len(best) <= EXACT:
        return float((all_sums(best, flipped) >= reached).mean())
    sums = np.where(signs(len(best)) > 0, best, flipped).sum(1)
    return float(((sums >= reached).sum() + 1) / (DRAWS + 1))


def _interval(targets: Mapping[str, Differences], best: np.ndarray) -> tuple[float, float, float]:
    groups = np.arange(len(best))
    chosen = [target.of([int(target.means.argmax())]) for target in targets.values()]
    common = common_variance(chosen) if shared_clusters(targets) else np.zeros(1)
    effect, error = (float(value[0]) for value in overall(groups, best[:, None], common))
    if len(best) < FEWEST:
        return *NOTHING, error
    drawn = (np.stack([means.max(1) for means in chunk], axis=1)[:, :, None] for chunk in drawn_means(targets))
    quotients = resampled_quotients(best[:, None], {"targets": groups}, drawn, common)["targets"]
    tested = studentised(effect, error, quotients[:, 0], TEST)
    return tested.low, tested.high, error
