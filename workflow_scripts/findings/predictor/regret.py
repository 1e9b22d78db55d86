"""Test accuracy lost against the best choice in hindsight, with hindsight and judgement on disjoint data.

The oracle picks on one half of the test clusters and is judged, as every policy is, on the other half: picked and
judged on the same sentences it would be flattered by noise. Both halves play both parts, and several ways of halving
are averaged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.statistics.across_targets import compare_across
from workflow_scripts.statistics.differences import Differences

HALVINGS = 50


@dataclass(frozen=True)
class Judged:
    """One target's options on the halves of its test data.

    Attributes
    ----------
    seen : ndarray, shape (options, draws)
        Accuracy on the half that the oracle, and whatever learns from test results of other targets, may see.
    judged : ndarray, shape (options, draws)
        Accuracy on the other half.
    """

    seen: np.ndarray
    judged: np.ndarray

    @property
    def oracle(self) -> np.ndarray:
        """The option that is best on the seen half, per draw."""
        return self.seen.argmax(0)

    def regret(self, choice: int | np.ndarray) -> float:
        """Return how much accuracy a choice (one option, or one per draw) loses against the oracle, mean over draws."""
        draws = np.arange(self.judged.shape[1])
        return float((self.judged[self.oracle, draws] - self.judged[choice, draws]).mean())


def halves(clusters: Mapping[str, np.ndarray], seed: int, halvings: int = HALVINGS) -> dict[str, np.ndarray]:
    """Return per target which items are in the first half, shape (halvings, n).

    Every cluster gets a random place, the same for all targets, so that parallel utterances fall on one side; a
    target's first half are the clusters that come first.

    Parameters
    ----------
    clusters : mapping
        Target → cluster of each test item (n,).
    seed : int
    halvings : int
    """
    names = np.unique(np.concatenate([np.unique(c) for c in clusters.values()]))
    places = np.random.default_rng(seed).random((halvings, len(names))).argsort(1).argsort(1)
    first = {}
    for target, of_target in clusters.items():
        distinct, index = np.unique(of_target, return_inverse=True)
        rank = places[:, np.searchsorted(names, distinct)].argsort(1).argsort(1)
        first[target] = (rank < len(distinct) // 2)[:, index]
    return first


def judge(correct: Sequence[np.ndarray], first: np.ndarray) -> Judged:
    """Return the accuracies of options on both halves; each half is seen once and judged once.

    Parameters
    ----------
    correct : sequence of ndarray, shape (n,)
        Mean correctness per item, one array per option.
    first : ndarray of bool, shape (halvings, n)
    """
    items = np.stack(correct).astype(float)
    one, two = (items @ half.T / half.sum(1) for half in (first.astype(float), 1.0 - first))
    return Judged(np.hstack([one, two]), np.hstack([two, one]))


def means_over_targets(values: pd.DataFrame) -> list[dict[str, float]]:
    """Return each column's mean over targets (rows) with its 95 % interval: ``value``, ``low``, ``high``.

    t below 20 targets, studentised bootstrap from then on; with one target there is no interval.
    """
    rows = ((str(target), row.to_numpy(float)[:, None]) for target, row in values.iterrows())
    targets = {target: Differences.of_numbers(target, numbers) for target, numbers in rows}
    estimates, _ = compare_across(targets, [""] * len(targets))
    return [{"value": e.effect, "low": e.low, "high": e.high} for e in estimates]
