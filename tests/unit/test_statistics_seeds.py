"""Differences of targets crossed with seeds: against statsmodels, by hand, and by simulation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from workflow_scripts.statistics.one_target import beyond_margin
from workflow_scripts.statistics.seeds import crossed


def drawn(rng: np.random.Generator, targets: int, seeds: int, sd: tuple[float, float, float], mean: float = 0.0):
    """Return differences per target and seed, from standard deviations of targets, seeds and the rest."""
    of_target, of_seed = rng.normal(0, sd[0], (targets, 1)), rng.normal(0, sd[1], (1, seeds))
    return mean + of_target + of_seed + rng.normal(0, sd[2], (targets, seeds))


def test_the_error_is_that_of_statsmodels_reml() -> None:
    values = drawn(np.random.default_rng(1), 9, 4, (0.03, 0.02, 0.02))
    table = pd.DataFrame(
        {"d": values.ravel(), "t": np.repeat(np.arange(9), 4), "s": np.tile(np.arange(4), 9), "all": 1}
    )
    fit = sm.MixedLM.from_formula("d ~ 1", table, groups="all", vc_formula={"t": "0 + C(t)", "s": "0 + C(s)"}).fit()
    found = crossed(values)
    assert found.error == pytest.approx(fit.bse["Intercept"], rel=0.01) and found.effect == pytest.approx(values.mean())


def test_without_noise_of_seeds_it_is_the_t_interval_over_targets() -> None:
    means = np.random.default_rng(2).normal(0.02, 0.03, 8)
    values = means[:, None] + np.array([1, -1, 0, 0]) * np.where(np.arange(8) % 2, 0.01, -0.01)[:, None]
    expected = stats.ttest_1samp(means, 0)
    interval = expected.confidence_interval()
    found = crossed(values)
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, expected.pvalue))
    shared = crossed(values, common=found.error**2)
    assert shared.error == pytest.approx(np.sqrt(2) * found.error) and shared.low < found.low


def test_two_seeds_measure_no_noise() -> None:
    assert np.isnan(crossed(np.ones((5, 2))).low) and np.isnan(crossed(np.ones((1, 3))).no_gain)


def test_equal_differences_are_certain() -> None:
    found = crossed(np.zeros((6, 3)))
    assert (found.low, found.high, found.p, found.no_gain, found.no_loss) == (0, 0, 1, 0, 0)


@pytest.mark.parametrize("sd", [(1, 0, 1), (1, 0.15, 1), (1, 1, 1), (0.3, 1, 0.3), (0, 0, 1)])
@pytest.mark.parametrize(("targets", "seeds"), [(8, 3), (20, 3), (9, 5)])
def test_intervals_cover_and_tests_keep_their_size(targets: int, seeds: int, sd: tuple[float, float, float]) -> None:
    rng, runs = np.random.default_rng(targets), 1500
    found = [crossed(drawn(rng, targets, seeds, sd, mean=1.0), margin=1.0) for _ in range(runs)]
    assert np.mean([e.low <= 1 <= e.high for e in found]) >= 0.92  # 0.93 less twice the error of 1500 runs
    assert np.mean([e.no_gain <= 0.05 for e in found]) <= 0.07
    assert np.mean([max(e.no_gain, e.no_loss) <= 0.05 for e in found]) <= 0.07


def test_means_over_three_seeds_alone_would_cover_too_little() -> None:
    rng = np.random.default_rng(3)
    means = [drawn(rng, 8, 5, (1, 0.15, 1)).mean(0) for _ in range(500)]
    intervals = [stats.ttest_1samp(each, 0).confidence_interval() for each in means]
    assert np.mean([i.low <= 0 <= i.high for i in intervals]) < 0.8


def test_the_margin_is_tested_from_both_sides() -> None:
    no_loss, no_gain = beyond_margin(0.01, 0.005, 10, 0.02)
    assert no_gain == pytest.approx(stats.t.cdf(-2, 10)) and no_loss == pytest.approx(stats.t.sf(6, 10))
    assert np.isnan(beyond_margin(0.0, float("nan"), 10, 0.02)).all()
    assert beyond_margin(0.02, 0.0, 10, 0.02) == (0, 1), "a gain of just the margin is one"
