"""Quality of predictions and its permutation null."""

import numpy as np
import pytest

from workflow_scripts.findings.predictor.ridge import leave_one_out
from workflow_scripts.findings.predictor.scores import permutation_null, permuted, r_squared, score

EXPERIMENTS = 3


def study(targets, generator, signal=0.0):
    """Return features, effects, targets and experiments of a study whose rows of one target share their noise."""
    groups, items = np.repeat(np.arange(targets), EXPERIMENTS), np.tile(np.arange(EXPERIMENTS), targets)
    own = generator.normal(size=(targets, 3))
    features = np.column_stack([own[groups], generator.normal(size=len(groups)), np.eye(EXPERIMENTS)[items]])
    noise = generator.normal(size=targets)[groups] + 0.3 * generator.normal(size=len(groups))
    effects = 0.02 * (noise + signal * own[groups, 0]) + np.array([0, 0.01, -0.05])[items]
    return features, effects, groups, items


def test_r_squared_by_hand():
    effects, groups = np.array([1.0, 3.0, 5.0]), np.array([0, 1, 2])
    perfect, means = effects.copy(), np.array([4.0, 3.0, 2.0])
    off = np.array([1.0, 3.0, 3.5])
    found = r_squared(np.column_stack([effects] * 3), np.column_stack([perfect, means, off]), groups)
    assert found == pytest.approx([1, 0, 1 - 1.5**2 / 18])
    quality = score(effects, off, groups)
    assert (quality.mae, quality.r2) == pytest.approx((0.5, found[2]))
    assert quality.correlation == pytest.approx(np.corrcoef(effects, off)[0, 1])


def test_whole_targets_swap_and_only_among_their_like():
    groups, items = np.array([0, 0, 1, 1, 2, 2, 3]), np.array([0, 1, 1, 0, 0, 1, 0])
    effects = np.array([1.0, 2, 40, 30, 500, 600, 7])
    found = permuted(effects, groups, items, np.random.default_rng(0), 200)
    pairs = {(a, b) for a, b in zip(found[0], found[1], strict=True)}
    assert pairs == {(1, 2), (30, 40), (500, 600)}  # (experiment 0, experiment 1) of one target, never mixed
    assert (found[6] == 7).all()
    assert (np.sort(found, axis=0) == np.sort(effects)[:, None]).all()


def test_a_rule_is_found():
    features, effects, groups, items = study(30, np.random.default_rng(0), signal=2)
    p, null = permutation_null(features, effects, groups, items, seed=0, draws=99)
    assert p == 0.01
    assert score(effects, leave_one_out(features, effects[:, None], groups)[:, 0], groups).r2 > 0.5 > null.max()


def test_noise_is_seldom_called_a_rule():
    generator, runs = np.random.default_rng(1), 100
    p = [permutation_null(*study(10, generator), seed=run, draws=19)[0] for run in range(runs)]
    assert np.mean(np.array(p) <= 0.05) <= 0.07
    assert np.mean(np.array(p) <= 0.5) >= 0.4, "a test that never rejects is no test"
