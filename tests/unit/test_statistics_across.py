"""Two systems across targets: against scipy, statsmodels and enumeration, and by simulation."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from workflow_scripts.statistics.across_targets import BOOTSTRAP, CROSSED, FLIP, SHARED, compare_across, crossed_errors
from workflow_scripts.statistics.best_of import best_of
from workflow_scripts.statistics.differences import Differences
from workflow_scripts.statistics.draws import DRAWS, resamples
from workflow_scripts.statistics.resampling import drawn_means, grouped_mean, overall


def single_items(values: dict[str, np.ndarray], names: list[str] | None = None) -> dict[str, Differences]:
    """Return differences per target, (n, C) each, every item a cluster; `names`: clusters that all targets share."""
    return {
        target: Differences(
            np.array(names or [f"{target}/{i:04d}" for i in range(len(each))]), np.ones(len(each), int), each,
            each.mean(0)[:, None],
        )
        for target, each in values.items()
    }  # fmt: skip


def of_means(means: np.ndarray) -> dict[str, Differences]:
    """Return targets whose mean differences (T, C) are known."""
    return single_items({f"t{i:02d}": np.tile(row, (2, 1)) for i, row in enumerate(means)})


def test_few_targets_are_flipped_and_have_a_t_interval():
    means = np.random.default_rng(0).normal(0.02, 0.03, (8, 2))
    estimates, by_family = compare_across(of_means(means), ["f"] * 8)
    for i, estimate in enumerate(estimates):
        values = means[:, i]
        flips = [abs(np.dot(s, values)) >= abs(values.sum()) - 1e-12 for s in itertools.product((-1, 1), repeat=8)]
        assert estimate.test == FLIP and estimate.p == np.mean(flips)
        expected = stats.ttest_1samp(values, 0).confidence_interval()
        assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
        assert np.isnan(by_family[i]).all()


def test_one_target_has_no_interval_and_no_difference_is_p_1():
    (one,), _ = compare_across(of_means(np.array([[0.1]])), ["f"])
    assert np.isnan(one.low) and one.p == 1
    for count in (5, 25):
        (none,), _ = compare_across(of_means(np.zeros((count, 1))), [str(i) for i in range(count)])
        assert (none.effect, none.low, none.high, none.p) == (0, 0, 0, 1)


def test_shared_clusters_enter_by_two_way_clustering():
    rng = np.random.default_rng(1)
    common, names = rng.normal(0, 0.3, 80), [f"u{i}" for i in range(80)]
    values = {f"t{i}": (common + rng.normal(0, 0.5, 80) + rng.normal(0, 0.1))[:, None] for i in range(6)}
    found = single_items(values, names)
    flat = np.concatenate(list(values.values()))[:, 0]
    groups = np.array([(t, u) for t in range(6) for u in range(80)])
    fit = sm.OLS(flat, np.ones(len(flat))).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
    # ours centres at each target's own mean, so that the targets' spread is counted once, and corrects T/(T−1)
    own = np.array([v.mean() for v in values.values()])
    between = own.var(ddof=1) / 6
    assert crossed_errors(list(found.values()))[0] == pytest.approx(fit.bse[0], rel=0.2)
    assert crossed_errors(list(found.values()))[0] > np.sqrt(between)
    (estimate,), _ = compare_across(found, ["f"] * 6)
    assert estimate.test == CROSSED and estimate.high - estimate.low > 2 * 2.57 * np.sqrt(between)


def test_many_targets_are_bootstrapped():
    means = np.random.default_rng(2).normal(0.01, 0.03, (30, 3))
    families = [str(i % 12) for i in range(30)]
    estimates, by_family = compare_across(of_means(means), families)
    for i, estimate in enumerate(estimates):
        expected = stats.ttest_1samp(means[:, i], 0)
        assert estimate.test == BOOTSTRAP and estimate.effect == pytest.approx(means[:, i].mean())
        interval = expected.confidence_interval()
        assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high), abs=0.004)
        assert estimate.p == pytest.approx(expected.pvalue, abs=0.05)
        assert (estimate.p <= 0.05) == (estimate.low > 0 or estimate.high < 0)
        assert by_family[i][0] < estimate.effect < by_family[i][1]
    assert np.isnan(compare_across(of_means(means), [str(i % 9) for i in range(30)])[1]).all()


def test_the_error_of_grouped_means_is_statsmodels_cluster_robust_error():
    rng = np.random.default_rng(3)
    groups, values = np.sort(rng.integers(0, 6, 25)), rng.normal(size=(25, 1))
    effects, errors = overall(groups, values, np.zeros(1))
    fit = sm.OLS(values[:, 0], np.ones(25)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    assert effects[0] == pytest.approx(values.mean()) and errors[0] == pytest.approx(fit.bse[0] * np.sqrt(6 / 5))
    _, alone = overall(np.arange(25), values, np.zeros(1))
    _, more = overall(np.arange(25), values, np.ones(1))
    assert alone[0] == pytest.approx(stats.sem(values[:, 0])) and more[0] ** 2 == pytest.approx(alone[0] ** 2 + 1)


def test_a_resampled_mean_is_that_of_the_drawn_targets():
    values = np.random.default_rng(4).normal(size=(5, 2))
    weights = np.array([[2, 0, 1, 1, 1], [5, 0, 0, 0, 0]], float)
    means, errors = grouped_mean(weights, np.arange(5), values[None])
    drawn = values[[0, 0, 2, 3, 4]]
    np.testing.assert_allclose(means, [drawn.mean(0), values[0]])
    np.testing.assert_allclose(errors, [stats.sem(drawn, axis=0), [0, 0]], atol=1e-12)


def test_draws_are_with_replacement_seeded_and_differ_by_kind():
    first = np.concatenate(list(resamples("targets", 7)))
    assert first.shape == (DRAWS, 7) and (first.sum(1) == 7).all()
    assert first.var(0) == pytest.approx(np.full(7, 6 / 7), abs=0.05)
    assert (np.concatenate(list(resamples("targets", 7))) == first).all()
    assert (np.concatenate(list(resamples("clusters", 7))) != first).any()


def test_shared_clusters_are_drawn_once_for_all_targets():
    values = np.random.default_rng(5).normal(size=(30, 1))
    names = [f"u{i}" for i in range(30)]
    same = next(drawn_means(single_items({"a": values, "b": values}, names)))
    np.testing.assert_allclose(same[0], same[1])
    own = next(drawn_means(single_items({"a": values, "b": values})))
    assert abs(np.corrcoef(own[0][:, 0], own[1][:, 0])[0, 1]) < 0.1


def simulate(targets: int, shared: bool, runs: int, seed: int) -> tuple[float, float]:
    """Return how often the interval covers the true difference and how often the test rejects it, for `runs` pairs."""
    rng = np.random.default_rng(seed)
    clusters, size = 40, 3
    names = [f"u{i}" for i in range(clusters)] if shared else None
    found = {}
    common = rng.normal(0, 0.25 if shared else 0, (clusters, runs))
    for t in range(targets):
        own = rng.normal(0, 0.02, (1, runs))  # the target's own difference
        alike = common + rng.normal(0, 0.2, (clusters, runs))
        items = own + alike + rng.normal(0, 0.5 / np.sqrt(size), (clusters, runs))  # means of a cluster's items
        found[f"t{t:02d}"] = Differences(
            np.array(names or [f"{t}/{i}" for i in range(clusters)]), np.full(clusters, size), items * size,
            items.mean(0)[:, None],
        )  # fmt: skip
    estimates, _ = compare_across(found, ["f"] * targets)
    kind = {(False, False): FLIP, (False, True): CROSSED, (True, False): BOOTSTRAP, (True, True): SHARED}
    assert estimates[0].test == kind[targets >= 20, shared]
    covered = np.mean([e.low <= 0 <= e.high for e in estimates])
    shifted = {t: Differences(d.clusters, d.sizes, d.sums + 0.02 * d.sizes[:, None], d.seeds) for t, d in found.items()}
    at_margin, _ = compare_across(shifted, ["f"] * targets, margin=0.02)
    assert np.mean([max(e.no_loss, e.no_gain) <= 0.05 for e in at_margin]) <= 0.07, "equivalence keeps its size"
    assert np.mean([e.no_gain <= 0.05 for e in at_margin]) <= 0.07
    return float(covered), float(np.mean([e.p <= 0.05 for e in estimates]))


@pytest.mark.parametrize(("targets", "runs"), [(8, 1000), (24, 400)])
@pytest.mark.parametrize("shared", [False, True])
def test_intervals_cover_and_tests_keep_their_size(targets, runs, shared):
    covered, rejected = simulate(targets, shared, runs, targets + shared)
    assert covered >= 0.93 and rejected <= 0.07


# --- the best of several


def test_the_best_of_noise_improves_most_targets_and_shows_nothing():
    rng = np.random.default_rng(6)
    found = single_items({f"t{i:02d}": rng.choice([-1.0, 0, 1], (60, 4), p=[0.2, 0.6, 0.2]) for i in range(12)})
    best = best_of(found)
    means = np.array([f.means for f in found.values()])
    assert best.improved == (means.max(1) > 0).sum() > 8
    assert best.band[0] > 6 and best.band[0] <= best.improved <= best.band[1]
    assert best.estimate.effect == pytest.approx(means.max(1).mean()) and best.estimate.p > 0.05
    assert best.estimate.low < best.chance < best.estimate.effect


def test_chance_for_the_best_is_every_flip_of_whole_centred_vectors():
    means = np.random.default_rng(7).normal(0.3, 1, (6, 3)).round(2)
    best, centred = best_of(of_means(means)), (means - means.mean(0)) * np.sqrt(6 / 5)
    flips = [(np.array(s)[:, None] * centred).max(1) for s in itertools.product((-1, 1), repeat=6)]
    sums, counts = [f.mean() for f in flips], [int((f > 0).sum()) for f in flips]
    wider = stats.t.ppf(0.95, 5) / stats.norm.ppf(0.95)
    assert best.estimate.p == (sum(wider * s >= means.max(1).mean() - 1e-9 for s in sums) + 1) / (64 + 1)
    assert best.chance == pytest.approx(np.mean(sums))
    low, high = best.band
    assert np.mean([c < low for c in counts]) <= 0.025 and np.mean([c > high for c in counts]) <= 0.025


def test_a_merge_that_is_worse_everywhere_gives_chance_nothing():
    means = np.random.default_rng(10).normal(0, 0.02, (9, 2)).round(3)
    worse = np.column_stack([means, means[:, 0] - 0.5])
    assert best_of(of_means(worse)).chance == pytest.approx(best_of(of_means(means)).chance, rel=0.05)


def test_a_merge_is_centred_over_the_targets_that_have_it():
    means = np.random.default_rng(11).normal(0.1, 0.1, (6, 2)).round(2)
    found = of_means(means)
    fewer = {t: f if i else f.of([1]) for i, (t, f) in enumerate(found.items())}
    columns = {t: [0, 1] if i else [1] for i, t in enumerate(found)}
    rest = np.column_stack(
        [(means[1:, 0] - means[1:, 0].mean()) * np.sqrt(5 / 4), (means[1:, 1] - means[:, 1].mean()) * np.sqrt(6 / 5)]
    )
    expected = (rest.max(1).sum() - rest.min(1).sum()) / 12  # the one that has a single merge adds d − d
    assert best_of(fewer, columns).chance == pytest.approx(expected)


def noise(rng: np.random.Generator) -> dict[str, Differences]:
    """Return three merges of ten targets that are no better than what they are compared with."""
    return single_items({f"t{i:02d}": rng.choice([-1.0, 0, 1], (50, 3), p=[0.2, 0.6, 0.2]) for i in range(10)})


def test_the_test_of_the_best_of_noise_keeps_its_size(monkeypatch):
    monkeypatch.setattr("workflow_scripts.statistics.best_of.FEWEST", 99)  # without an interval, which takes its time
    rng, runs = np.random.default_rng(8), 600
    assert np.mean([best_of(noise(rng)).estimate.p <= 0.05 for _ in range(runs)]) <= 0.07


def test_the_interval_of_the_best_of_noise_sees_the_choice():
    rng, covered, naive, runs = np.random.default_rng(8), 0, 0, 25
    for _ in range(runs):
        found = noise(rng)
        covered += best_of(found).estimate.low <= 0
        naive += stats.ttest_1samp([f.means.max() for f in found.values()], 0).confidence_interval().low <= 0
    assert naive / runs < 0.3 and covered / runs > 0.7  # the choice among equals cannot be seen in full


def test_a_merge_that_is_better_is_found_among_several():
    rng = np.random.default_rng(9)
    values = {f"t{i:02d}": rng.choice([-1.0, 0, 1], (80, 3), p=[0.1, 0.8, 0.1]) for i in range(9)}
    for each in values.values():
        each[:20, 1] = 1
    best = best_of(single_items(values))
    assert best.estimate.p < 0.01 and best.estimate.low > best.chance and best.improved > best.band[1] - 1
