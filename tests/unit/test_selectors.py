"""Selectors beyond top_k, each against a case worked out by hand; compatibility weighting; the supervision guard."""

import copy

import numpy as np
import pytest

from tests.conftest import preset
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.selection.plan import compatible, selection_tier
from workflow_scripts.selection.question import Question
from workflow_scripts.selection.selectors.diverse import diverse
from workflow_scripts.selection.selectors.greedy import greedy
from workflow_scripts.selection.selectors.pivot import pivot
from workflow_scripts.selection.selectors.random_k import random_k
from workflow_scripts.selection.selectors.sinkhorn import balanced, sinkhorn
from workflow_scripts.selection.selectors.threshold import threshold
from workflow_scripts.study.experiments import expand
from workflow_scripts.study.study import load_study

ROW = {"a": 0.8, "b": 0.6, "c": 0.74, "d": 0.1}


def asked(candidates, k, forced=(), **more):
    return Question("t", candidates, k, list(forced), **more)


# --- sinkhorn


def test_balancing_by_hand():
    # diagonal off; rows normalised: [0, 1/3, 2/3], [1/2, 0, 1/2], [3/4, 1/4, 0]; columns then: sums 5/4, 7/12, 7/6
    found = balanced(np.array([[9.0, 1, 2], [1, 9, 1], [3, 1, 9]]), keep=20, rounds=1)
    np.testing.assert_allclose(found, [[0, 4 / 7, 4 / 7], [2 / 5, 0, 3 / 7], [3 / 5, 3 / 7, 0]], rtol=1e-12)


def test_balancing_keeps_each_rows_largest_entries_and_drops_negative_ones():
    found = balanced(np.array([[0.0, 3, 2, 3], [1, 0, -5, 2], [1, 1, 0, 1], [4, 5, 6, 0]]), keep=2, rounds=1)
    np.testing.assert_array_equal(found > 0, [[0, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0]])


def test_balancing_many_rounds_makes_rows_and_columns_sum_to_one():
    similarity = np.random.default_rng(0).uniform(0.1, 1, (6, 6))
    found = balanced(similarity, keep=20, rounds=500)
    np.testing.assert_allclose(found.sum(0), 1, rtol=1e-9)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-9)


def test_sinkhorn_turns_away_from_the_hub():
    """h is the most similar to everybody; balancing gives it away to those who have nothing else."""
    names = ["a", "b", "h", "t"]
    values = [[0, 0.1, 0.9, 0.1], [0.1, 0, 0.9, 0.1], [0.9, 0.9, 0, 0.9], [0.8, 0.1, 0.85, 0]]
    matrix = {t: dict(zip(names, row, strict=True)) for t, row in zip(names, values, strict=True)}
    row = {s: v for s, v in matrix["t"].items() if s != "t"}
    assert max(row, key=row.get) == "h"
    assert sinkhorn(asked(row, 1, matrix=matrix)) == [("a", 1.0)]


def test_sinkhorn_weights_are_the_balanced_entries_and_the_target_counts_with_its_own_similarity():
    names = ["a", "b", "t"]
    matrix = {t: dict.fromkeys(names, 1.0) for t in names}
    chosen = sinkhorn(asked({"a": 1.0, "b": 1.0, "t": 1.0}, 2, ["t"], matrix=matrix))
    assert dict(chosen) == pytest.approx({"t": 1 / 1.5, "a": 0.5 / 1.5})  # the row is 1/2, 1/2


def test_sinkhorn_without_enough_positive_entries_is_an_error():
    matrix = {t: {"a": 0.5, "b": 0.4, "t": 0.3} for t in "abt"}
    with pytest.raises(XlmergeError, match="t: sinkhorn leaves 1 sources with a positive entry"):
        sinkhorn(asked({"a": 0.5, "b": 0.4}, 2, matrix=matrix), keep=1)


# --- threshold, diverse, pivot, random_k, greedy


def test_threshold_takes_all_that_are_near_the_best():
    assert dict(threshold(asked(ROW, 4), fraction=0.9)) == pytest.approx({"a": 0.8 / 1.54, "c": 0.74 / 1.54})
    assert [n for n, _ in threshold(asked(ROW, 4), fraction=0.7)] == ["a", "c", "b"]
    assert [n for n, _ in threshold(asked(ROW, 2), fraction=0.75)] == ["a", "c"], "k is a limit"
    assert [n for n, _ in threshold(asked({"a": -0.2, "b": -0.1}, 2))] == ["b"], "the best is always there"


def test_threshold_with_the_target_counts_from_the_best_other():
    assert [n for n, _ in threshold(asked({**ROW, "t": 1.0}, 5, ["t"]), fraction=0.9)] == ["t", "a", "c"]


def test_diverse_by_hand():
    # first a (0.7 · 0.8); then c: 0.7 · 0.74 − 0.3 · 0.95 = 0.233, b: 0.7 · 0.6 − 0.3 · 0.1 = 0.39, d: 0.07 − 0.06
    matrix = {"a": {}, "b": {"a": 0.1}, "c": {"a": 0.95, "b": 0.2}, "d": {"a": 0.2, "b": 0.2}}
    chosen = diverse(asked(ROW, 2, matrix=matrix))
    assert dict(chosen) == pytest.approx({"a": 0.8 / 1.4, "b": 0.6 / 1.4})
    assert [n for n, _ in diverse(asked(ROW, 2, matrix=matrix), relevance=1.0)] == ["a", "c"]


def test_diverse_counts_the_target_as_chosen():
    matrix = {"a": {"t": 1.0}, "b": {"t": 0.0}, "c": {"t": 1.0}, "d": {"t": 0.9}}
    assert [n for n, _ in diverse(asked({**ROW, "t": 1.0}, 2, ["t"], matrix=matrix), relevance=0.5)] == ["t", "b"]


def test_the_pivot_comes_first_whatever_its_similarity():
    assert dict(pivot(asked(ROW, 1, pivot="d"))) == {"d": 1.0}
    assert dict(pivot(asked(ROW, 2, pivot="d"))) == pytest.approx({"a": 0.8 / 0.9, "d": 0.1 / 0.9})


def test_random_sources_depend_on_seed_target_and_draw_only():
    first = random_k(asked(ROW, 2))
    assert first == random_k(asked(dict.fromkeys(ROW, 0.5), 2)) and {w for _, w in first} == {0.5}
    drawn = {frozenset(n for n, _ in random_k(asked(ROW, 2, seed=s), draw=d)) for s in range(5) for d in range(5)}
    assert len(drawn) > 3
    assert ("t", 0.5) in random_k(asked({**ROW, "t": 1.0}, 2, ["t"]))


def test_every_source_is_drawn_about_equally_often():
    counts = dict.fromkeys(ROW, 0)
    for draw in range(2000):
        for name, _ in random_k(asked(ROW, 1), draw=draw):
            counts[name] += 1
    assert all(400 < count < 600 for count in counts.values())


def test_greedy_takes_what_the_search_took():
    assert greedy(asked(ROW, 2, greedy=["b", "d", "a"])) == [("b", 0.5), ("d", 0.5)]
    assert greedy(asked(ROW, 4, greedy=["b"])) == [("b", 1.0)]


# --- compatibility


def test_compatibility_multiplies_by_the_mean_cosine_to_the_others():
    cosines = {"a": {"b": 0.5, "c": 0.1}, "b": {"a": 0.5, "c": 0.3}, "c": {"a": 0.1, "b": 0.3}}
    found = dict(compatible([("a", 0.5), ("b", 0.3), ("c", 0.2)], cosines))
    raw = {"a": 0.5 * 0.3, "b": 0.3 * 0.4, "c": 0.2 * 0.2}
    assert found == pytest.approx({k: v / sum(raw.values()) for k, v in raw.items()})
    assert compatible([("a", 1.0)], {}) == [("a", 1.0)]


# --- supervision


@pytest.mark.parametrize(
    ("selector", "include", "measure", "tier"),
    [
        ("top_k", False, "labelled validation", "labelled validation"),
        ("random_k", False, "labelled validation", "none"),
        ("greedy", False, "none", "labelled validation"),
        ("sinkhorn", True, "none", "labelled training"),
    ],
)
def test_the_tier_of_a_selection(selector, include, measure, tier):
    assert selection_tier({"selector": selector, "include_target": include}, measure) == tier


def study(**fixed):
    config = copy.deepcopy(preset("tiny"))
    config["ablations"] = [{"name": "x", "fixed": {"num_languages": 1, **fixed}}]
    return load_study(config)


@pytest.mark.parametrize(
    ("fixed", "guilty"),
    [
        ({"similarity_type": "NXN"}, r"similarity NXN \(labelled validation\)"),
        ({"selector": "greedy"}, r"selector greedy \(labelled validation\)"),
        ({"include_target": True}, r"include_target \(labelled training\)"),
        ({"method": "adamerging"}, r"method adamerging \(unlabelled\)"),
    ],
)
def test_an_experiment_that_sees_more_than_it_may_is_an_error(fixed, guilty):
    with pytest.raises(XlmergeError, match=f"its block allows 'none': because of {guilty}"):
        study(supervision="none", **fixed)
    assert len(study(**fixed).experiments) == len(study(supervision="labelled training", **fixed).experiments) == 1


def test_what_an_experiment_may_see_does_not_make_another_experiment_of_it():
    run = study(supervision="none").run
    config = run.model_dump()
    config["ablations"].append({"name": "y", "fixed": {"num_languages": 1}})
    assert len(expand(type(run)(**config))[0]) == 1


def test_compatibility_brings_its_measure_along():
    assert study(compatibility=True).measures["TASK_VECTOR_COSINE"] == ("task_vector_cosine", {})
    assert "TASK_VECTOR_COSINE" not in study().measures
    assert any(name.endswith("_compatible") for name in study(compatibility=True).experiments)


def test_the_pivot_is_no_target_of_a_selector_that_takes_it():
    (found,) = study(selector="pivot").experiments.values()
    assert found.targets == ["de-DE", "es-ES"]
    with pytest.raises(XlmergeError, match="cannot be the target"):
        study(selector="pivot", locales=["en-US"])
