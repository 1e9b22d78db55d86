"""The best of several merges, chosen on the test data that also judge it: what chance alone would give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from workflow_scripts.statistics.across_targets import NOTHING, common_variance
from workflow_scripts.statistics.differences import Differences, shared_clusters
from workflow_scripts.statistics.draws import EXACT, all_sums, signs
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


def best_of(targets: Mapping[str, Differences], merges: Mapping[str, Sequence[int]] | None = None) -> BestOf:
    """Return the best of several merges against a baseline.

    Every draw chooses the best anew: by chance a target's whole vector of differences has either sign, each merge's
    differences centred at their mean first (White's reality check, 2000): a merge that is worse everywhere would
    otherwise be better everywhere by chance. In the bootstrap clusters and targets are drawn together.

    Parameters
    ----------
    targets : mapping
        Target → a column for each of its merges.
    merges : mapping, optional
        Target → which merge each column is; default: all targets have the same ones.
    """
    best = np.array([target.means.max() for target in targets.values()])
    centred = _centred(targets, merges or {t: range(len(f.means)) for t, f in targets.items()})
    low, high, error = _interval(targets, best)
    return BestOf(
        TestedDifference(float(best.mean()), low, high, _p(best, centred), error, TEST, *NOTHING),
        float(np.mean(centred)),
        int((best > 0).sum()),
        int((best < 0).sum()),
        chance_band(centred[0] > 0, centred[1] > 0),
    )


def _centred(targets: Mapping[str, Differences], merges: Mapping[str, Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the best of each target's centred differences, and of these with the other sign, each (T,).

    A merge's mean is over the targets that have it; what centring takes from the spread is given back.
    """
    of_merge: dict[int, list[float]] = {}
    for target, found in targets.items():
        for merge, value in zip(merges[target], found.means, strict=True):
            of_merge.setdefault(merge, []).append(float(value))
    means = {merge: float(np.mean(values)) for merge, values in of_merge.items()}
    spread = {merge: np.sqrt(len(values) / max(1, len(values) - 1)) for merge, values in of_merge.items()}
    centred = [
        [(value - means[merge]) * spread[merge] for merge, value in zip(merges[t], found.means, strict=True)]
        for t, found in targets.items()
    ]
    return np.array([max(values) for values in centred]), np.array([-min(values) for values in centred])


def _p(best: np.ndarray, centred: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the one-sided p of the best among draws of signs.

    Centred flips have the spread of an estimated mean as if it were known: drawn ones are wider by what Student's t is
    wider than the normal at 5 %, without which 5 % tests of ten targets reject 8 %.
    """
    reached = best.sum() - TOLERANCE * np.abs(best).sum()
    wider = student.ppf(0.95, len(best) - 1) / norm.ppf(0.95) if len(best) > 1 else 1.0
    one, other = (wider * part for part in centred)
    drawn = all_sums(one, other) if len(best) <= EXACT else np.where(signs(len(best)) > 0, one, other).sum(1)
    return float(((drawn >= reached).sum() + 1) / (len(drawn) + 1))


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
