"""Two systems on one target: against scipy, statsmodels and full enumeration, and by simulation with clusters."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import beta, permutation_test
from scipy.stats import t as student
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from workflow_scripts.results.items import Correctness
from workflow_scripts.statistics import one_target
from workflow_scripts.statistics.differences import Differences, paired_differences, shared_clusters
from workflow_scripts.statistics.one_target import (
    DRAWN,
    MCNEMAR,
    SIGN_FLIP,
    beyond_margin,
    cluster_interval,
    compare_on_target,
    drawn_p,
    exact_p,
    mcnemar,
)

RNG = np.random.default_rng(0)


def differences(values: np.ndarray, clusters: np.ndarray) -> Differences:
    """Return the differences of one pair from its items' differences."""
    names, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, values)[:, None]
    return Differences(names, np.bincount(index), sums, np.array([[values.mean()]]))


def items(correct: dict, clusters: list[str]) -> Correctness:
    values = {key: np.array(value, np.float32) for key, value in correct.items()}
    return Correctness(np.array([f"i{n}" for n in range(len(clusters))]), np.array(clusters), values)


def test_differences_are_summed_by_cluster_and_averaged_over_seeds():
    merge, self, soup = ("e", "merge"), ("", "self"), ("", "seed_soup_k2")
    found = items(
        {(*merge, 0): [1, 1, 0, 1], (*merge, 1): [1, 0, 0, 1], (*self, 0): [0, 1, 0, 0], (*self, 1): [1, 1, 1, 0],
         (*soup, 0): [1, 1, 1, 1]},
        ["b", "a", "b", "a"],
    )  # fmt: skip
    result = paired_differences(found, [(merge, self), (merge, soup), (merge, merge)])
    assert result.clusters.tolist() == ["a", "b"] and result.sizes.tolist() == [2, 2]
    np.testing.assert_allclose(result.sums, [[0.5, -0.5, 0], [0, -1, 0]])
    np.testing.assert_allclose(result.seeds, [[0.5, -0.25], [-0.25, -0.5], [0, 0]])
    np.testing.assert_allclose(result.means, [0.125, -0.375, 0])
    assert not result.single and result.of([1]).means.tolist() == [-0.375]


def test_equal_means_over_models_differ_by_nothing():
    found = items({("", "a", 0): [1 / 3], ("", "b", 0): [1.0], ("", "b", 1): [0.0], ("", "b", 2): [0.0]}, ["c"])
    assert paired_differences(found, [(("", "b"), ("", "a"))]).sums.tolist() == [[0.0]]


def test_shared_clusters_are_many_equal_names():
    def of(names):
        return Differences(np.array(names), np.ones(len(names), int), np.zeros((len(names), 1)), np.zeros((1, 1)))

    own = {t: of([f"{t}{i}" for i in range(20)]) for t in "ab"}
    assert not shared_clusters(own)
    assert not shared_clusters({**own, "c": of(["a0", *(f"c{i}" for i in range(19))])})
    assert shared_clusters({"a": own["a"], "b": of([f"a{i}" for i in range(20)])})


def test_the_exact_sign_flip_test_is_scipy_s():
    for k in (2, 4, 9):
        values = RNG.normal(0.4, 1, k).round(1)
        expected = permutation_test(
            (values,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
        )
        flips = [abs(np.dot(s, values)) >= abs(values.sum()) - 1e-9 for s in itertools.product((-1, 1), repeat=k)]
        assert exact_p(values) == pytest.approx(np.mean(flips))
        assert exact_p(values) == pytest.approx(min(1, expected.pvalue), abs=1e-9)
    assert exact_p(np.array([])) == 1


def test_the_drawn_sign_flip_test_is_near_the_exact_one():
    values = RNG.normal(0.3, 1, (18, 3))
    for column, p in enumerate(drawn_p(values)):
        assert p == pytest.approx(exact_p(values[:, column]), abs=0.015)


def test_sums_that_tie_count_as_reached():
    assert exact_p(np.array([0.1, 0.2, 0.3])) == 2 / 8  # 0.1 + 0.2 + 0.3 is not 0.6 in floating point
    assert exact_p(np.array([0.1, 0.2, -0.3])) == 1


def test_mcnemar_is_that_of_statsmodels():
    for better, worse in ((9, 2), (0, 6), (25, 31), (1, 1)):
        expected = statsmodels_mcnemar([[50, better], [worse, 40]], exact=True).pvalue
        assert mcnemar(better, worse) == pytest.approx(min(1, expected))
    assert mcnemar(0, 0) == 1


def test_which_test_is_used():
    single = np.repeat([1.0, -1.0, 0.0], [9, 2, 30])
    each = np.arange(len(single)).astype(str)
    (estimate,) = compare_on_target(differences(single, each))
    assert (estimate.test, estimate.p) == (MCNEMAR, mcnemar(9, 2))
    assert estimate.p == pytest.approx(exact_p(single[:11]))
    (halves,) = compare_on_target(differences(single / 2, each))
    assert (halves.test, halves.p) == (SIGN_FLIP, exact_p(single[:11]))
    (many,) = compare_on_target(differences(np.repeat(0.5, 30), np.arange(30).astype(str)))
    assert many.test == DRAWN and many.p < 0.001
    (clustered,) = compare_on_target(differences(np.ones(8), np.repeat(list("abcd"), 2)))
    assert (clustered.test, clustered.p) == (SIGN_FLIP, 2 / 16)


def cr2(sizes: np.ndarray) -> tuple[np.ndarray, float]:
    """Return, item by item, the matrix of CR2 and the degrees of freedom where items of a cluster are the same."""
    n, index = sizes.sum(), np.repeat(np.arange(len(sizes)), sizes)
    projection = np.full((n, n), 1 / n)
    vectors = []
    for g in range(len(sizes)):
        own = index == g
        values, axes = np.linalg.eigh(np.eye(sizes[g]) - projection[np.ix_(own, own)])
        adjusted = axes @ np.diag(values**-0.5) @ axes.T  # (I − H_gg)^−½
        vectors.append((adjusted.sum(0) / n) @ (np.eye(n) - projection)[own])
    same = (index[:, None] == index).astype(float)
    m = np.array(vectors) @ same @ np.array(vectors).T
    return np.array(vectors), float(np.trace(m) ** 2 / (m * m).sum())


def test_the_interval_is_cr2_with_satterthwaite_s_degrees_of_freedom():
    sizes = np.array([1, 2, 2, 3, 5, 9])
    values = RNG.choice([-1, 0, 1], sizes.sum()) + 0.1
    clusters = np.repeat(np.arange(6), sizes)
    found = differences(values, clusters.astype(str))
    vectors, freedom = cr2(sizes)
    low, high, error, ours = cluster_interval(found.sums[:, 0], found.sizes)
    assert error == pytest.approx(np.sqrt(((vectors @ values) ** 2).sum())) and ours == pytest.approx(freedom)
    assert (high - low) / 2 == pytest.approx(student.ppf(0.975, freedom) * error)
    assert (low + high) / 2 == pytest.approx(values.mean()) and freedom < 4
    even = cluster_interval(np.arange(8.0), np.full(8, 3))
    fit = sm.OLS(np.repeat(np.arange(8.0) / 3, 3), np.ones(24)).fit(
        cov_type="cluster", cov_kwds={"groups": np.repeat(np.arange(8), 3), "use_correction": False}
    )
    assert even.freedom == pytest.approx(7) and even.error == pytest.approx(fit.bse[0] * np.sqrt(8 / 7))


def test_no_difference_is_not_certainty():
    low, high, error, _ = cluster_interval(np.zeros(40), np.full(40, 3))
    assert high == -low == pytest.approx(beta.ppf(0.975, 1, 40)) and np.isnan(error)
    assert np.isnan(cluster_interval(np.array([2.0]), np.array([5]))[0])
    (none,) = compare_on_target(differences(np.zeros(200), np.arange(200).astype(str)))
    assert none.no_gain == none.no_loss == pytest.approx(0.98**200)


@pytest.mark.parametrize("kind", ["even", "unequal", "single"])
@pytest.mark.parametrize("groups", [10, 60])
def test_intervals_of_one_target_cover_and_equivalence_keeps_its_size(groups, kind):
    rng, runs, covered, equivalent, margin = np.random.default_rng(groups), 1200, 0, 0, 0.05
    for _ in range(runs):
        sizes = {"single": np.ones(groups, int), "even": np.full(groups, 4)}.get(
            kind, np.ceil(rng.pareto(1.2, groups) * 2 + 0.5).astype(int).clip(1, 60)
        )
        sums = sizes * (margin + rng.normal(0, 0.1, groups)) + rng.normal(0, 0.2, groups) * np.sqrt(sizes)
        low, high, error, freedom = cluster_interval(sums, sizes)
        covered += low <= margin <= high
        equivalent += max(beyond_margin(sums.sum() / sizes.sum(), error, freedom, margin)) <= 0.05
    assert covered / runs >= 0.93 and equivalent / runs <= 0.07


def clustered(rng: np.random.Generator, effect: float, groups: int = 60) -> Differences:
    """Return differences of items that are alike within clusters of unequal size."""
    sizes = rng.integers(1, 9, groups)
    index = np.repeat(np.arange(groups), sizes)
    lean = rng.normal(effect * 2, 0.8, groups)[index]
    values = np.sign(lean) * (rng.random(len(index)) < 0.3)
    return differences(values, index.astype(str))


def test_intervals_cover_and_tests_keep_their_size_with_clusters():
    rng, runs = np.random.default_rng(1), 600
    covered = rejected = naive = 0
    for _ in range(runs):
        found = clustered(rng, 0)
        (estimate,) = compare_on_target(found)
        covered += estimate.low <= 0 <= estimate.high
        rejected += estimate.p <= 0.05
        values = found.sums[:, 0]
        naive += abs(values.sum()) > 1.96 * np.sqrt(np.abs(values).sum())  # as if items were independent
    assert covered / runs >= 0.93
    assert 0.02 <= rejected / runs <= 0.07
    assert naive / runs > 0.12, "the simulation has no clusters to speak of"


def test_a_difference_is_found():
    (estimate,) = compare_on_target(clustered(np.random.default_rng(2), 0.6))
    assert estimate.p < 0.01 and estimate.low > 0


def test_draws_are_seeded():
    values = np.random.default_rng(3).normal(size=(50, 2))
    first = drawn_p(values)
    one_target.signs.cache_clear()
    assert (drawn_p(values) == first).all()
