"""Regret: halves that share no cluster, an oracle that is judged elsewhere, values computed by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.findings.predictor.regret import Judged, halves, judge, means_over_targets


def test_halves_share_no_cluster_and_both_hold_some():
    generator = np.random.default_rng(0)
    clusters = {t: np.array([f"{t}-{c}" for c in generator.integers(0, 9, 40)]) for t in "ab"}
    for target, first in halves(clusters, seed=3, halvings=30).items():
        for half in first:
            one, two = set(clusters[target][half]), set(clusters[target][~half])
            assert one and two and not one & two and abs(len(one) - len(two)) <= 1


def test_parallel_utterances_fall_on_one_side_for_all_targets():
    clusters = {"a": np.array(list("abcdefgh")), "b": np.array(list("hgfedcba"))}
    found = halves(clusters, seed=1, halvings=20)
    assert (found["a"] == found["b"][:, ::-1]).all()
    assert len({tuple(half) for half in found["a"]}) > 10


def test_halves_are_reproducible():
    clusters = {"a": np.arange(20).astype(str)}
    assert (halves(clusters, 5)["a"] == halves(clusters, 5)["a"]).all()
    assert (halves(clusters, 5)["a"] != halves(clusters, 6)["a"]).any()


def test_regret_by_hand():
    # Items 0, 1 | 2, 3. Option A is right on 0, 1; B on 2; C on all but 1.
    correct = [np.array([1, 1, 0, 0]), np.array([0, 0, 1, 0]), np.array([1, 0, 1, 1])]
    found = judge(correct, np.array([[True, True, False, False]]))
    assert found.seen.tolist() == [[1, 0], [0, 0.5], [0.5, 1]]
    assert found.judged.tolist() == [[0, 1], [0.5, 0], [1, 0.5]]
    assert found.oracle.tolist() == [0, 2]  # A on the first half, C on the second: judged 0 and 0.5
    assert [found.regret(i) for i in range(3)] == [-0.25, 0, -0.5]
    assert found.regret(np.array([1, 0])) == pytest.approx(np.mean([0 - 0.5, 0.5 - 1]))


def test_the_better_option_has_no_regret_and_the_worse_its_distance():
    generator = np.random.default_rng(0)
    good, bad = (generator.random(4000) < 0.9).astype(float), (generator.random(4000) < 0.6).astype(float)
    first = halves({"t": np.arange(4000).astype(str)}, 0)["t"]
    found = judge([bad, good], first)
    assert found.regret(1) == 0
    assert found.regret(0) == pytest.approx(good.mean() - bad.mean())


def test_an_oracle_among_equals_has_no_advantage():
    generator = np.random.default_rng(1)
    regrets = []
    for _ in range(200):
        options = [(generator.random(60) < 0.5).astype(float) for _ in range(8)]
        found = judge(options, generator.random((10, 60)) < 0.5)
        in_sample = Judged(found.seen, found.seen)
        regrets.append((found.regret(0), in_sample.regret(0)))
    fair, flattered = np.mean(regrets, axis=0)
    assert abs(fair) < 0.015 and flattered > 0.08


def test_interval_over_targets_is_students():
    values = pd.DataFrame({"one": [0.01, 0.03, -0.02, 0.05], "none": [0.0] * 4}, index=list("abcd"))
    one, none = means_over_targets(values)
    low, high = stats.ttest_1samp(values["one"], 0).confidence_interval(0.95)
    assert (one["value"], one["low"], one["high"]) == pytest.approx((0.0175, low, high))
    assert none == {"value": 0, "low": 0, "high": 0}
    assert np.isnan(means_over_targets(values[:1])[0]["low"])


def test_interval_over_many_targets_is_near_students():
    values = pd.DataFrame({"one": np.random.default_rng(0).normal(0.02, 0.05, 40)})
    (found,) = means_over_targets(values)
    low, high = stats.ttest_1samp(values["one"], 0).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.004) and found["low"] != low
