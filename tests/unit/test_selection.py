"""From similarities to sources and weights: selectors, the plan's orientation, the slice that a merge sees."""

import json
import math
import os

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.core.matrices import accuracy_matrix, write_matrix
from workflow_scripts.jobs import compute_similarity, select_sources
from workflow_scripts.selection.plan import ask, build_plan, choose, entry_key
from workflow_scripts.selection.question import Question
from workflow_scripts.selection.selectors.top_k import top_k
from workflow_scripts.study.slices import merge_slice, planned_merges

PLAIN = {"method_tier": "none", "grouped_by": None, "joint": []}
SETTINGS = {
    "method": "similarity",
    "method_parameters": {},
    "similarity_type": "URIEL",
    "num_languages": 2,
    "include_target": False,
    "target_similarity": 1.0,
    "selector": "top_k",
    "selector_parameters": {},
    "compatibility": False,
}
STUDY = {
    "tiers": {"URIEL": "none"},
    "groups": {},
    "pivot": "en-US",
    "cosines": "TASK_VECTOR_COSINE",
    "greedy": {},
    "baselines": [],
}


def asked(candidates, k, forced=(), **more):
    return Question("t", candidates, k, list(forced), **more)


def choose_for(settings, row, cosines=None):
    """Choose for the target t from its row of similarities."""
    return choose(settings, ask(settings, "t", 0, {"t": row}, STUDY), cosines or {})


def selected(entry):
    return {s["locale"]: s["weight"] for s in entry["sources"]}


# --- top_k


def test_the_most_similar_in_order_with_proportional_weights():
    chosen = top_k(asked({"a": 0.1, "b": 0.6, "c": 0.2}, 2))
    assert chosen == [("b", 0.6 / 0.8), ("c", 0.2 / 0.8)]


def test_ties_break_by_name():
    assert [name for name, _ in top_k(asked({"d": 0.5, "b": 0.5, "c": 0.5, "a": 0.4}, 2))] == ["b", "c"]


def test_uniform_weights():
    assert top_k(asked({"a": 0.1, "b": 0.6, "c": 0.2}, 2), weights="uniform") == [("b", 0.5), ("c", 0.5)]


def test_softmax_weights():
    chosen = dict(top_k(asked({"a": 0.3, "b": 0.1}, 2), weights="softmax", temperature=0.2))
    # e^(0.3/0.2) : e^(0.1/0.2) = e : 1
    assert chosen["a"] == pytest.approx(math.e / (math.e + 1), rel=1e-12)
    assert chosen["b"] == pytest.approx(1 / (math.e + 1), rel=1e-12)


def test_softmax_does_not_overflow():
    assert top_k(asked({"a": 1000.0, "b": -1000.0}, 2), weights="softmax", temperature=1e-3) == [("a", 1.0), ("b", 0.0)]


def test_negative_similarities_weigh_nothing():
    assert top_k(asked({"a": 0.5, "b": -0.2, "c": -0.4}, 2)) == [("a", 1.0), ("b", 0.0)]


@pytest.mark.parametrize("value", [0.0, -0.3])
def test_without_a_positive_similarity_weights_are_uniform(value):
    assert top_k(asked({"a": value, "b": value}, 2)) == [("a", 0.5), ("b", 0.5)]


def test_forced_candidates_displace_the_least_similar():
    chosen = top_k(asked({"a": 0.6, "b": 0.3, "t": 0.1}, 2, ["t"]))
    assert [name for name, _ in chosen] == ["a", "t"]
    assert dict(chosen)["t"] == pytest.approx(0.1 / 0.7)


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.floats(-1, 1), min_size=1, max_size=8),
    st.integers(1, 8),
    st.sampled_from(["similarity", "uniform", "softmax"]),
)
def test_weights_are_shares_of_distinct_sources(similarity, k, weights):
    chosen = top_k(asked(similarity, k), weights=weights)
    assert len({name for name, _ in chosen}) == len(chosen) == min(k, len(similarity))
    assert all(w >= 0 for _, w in chosen)
    assert math.isclose(sum(w for _, w in chosen), 1, rel_tol=1e-9)
    left_out = [v for name, v in similarity.items() if name not in dict(chosen)]
    assert min(similarity[name] for name, _ in chosen) >= max(left_out, default=-2)


# --- choose


def test_the_target_is_no_candidate_even_if_its_row_holds_it():
    entry = choose_for(SETTINGS, {"t": 1.0, "a": 0.6, "b": 0.2, "c": 0.1})
    assert selected(entry) == pytest.approx({"a": 0.75, "b": 0.25})
    assert entry["effective_sources"] == pytest.approx(1 / (0.75**2 + 0.25**2))
    assert entry["warnings"] == []


def test_include_target_forces_it_in_with_similarity_1():
    entry = choose_for({**SETTINGS, "include_target": True}, {"t": 0.3, "a": 0.25, "b": 0.2})
    assert [s["locale"] for s in entry["sources"]] == ["t", "a"]
    assert selected(entry) == pytest.approx({"t": 1 / 1.25, "a": 0.25 / 1.25})


def test_include_target_with_a_weight_of_its_own():
    settings = {**SETTINGS, "include_target": True, "target_similarity": 0.05}
    entry = choose_for(settings, {"t": 1.0, "a": 0.5, "b": 0.45})
    assert [s["locale"] for s in entry["sources"]] == ["a", "t"]  # least similar, yet in
    assert selected(entry) == pytest.approx({"a": 0.5 / 0.55, "t": 0.05 / 0.55})


@pytest.mark.parametrize(("include", "count"), [(False, 3), (True, 4)])
def test_all_takes_every_candidate(include, count):
    settings = {**SETTINGS, "num_languages": "all", "include_target": include}
    assert len(choose_for(settings, {"t": 1.0, "a": 0.5, "b": 0.4, "c": 0.3})["sources"]) == count


def test_uniform_weights_for_want_of_similarity_are_said():
    entry = choose_for(SETTINGS, {"a": 0.0, "b": -0.1})
    assert selected(entry) == {"a": 0.5, "b": 0.5}
    assert entry["warnings"] == ["no chosen source has a positive similarity: uniform weights"]


def test_softmax_of_negative_similarities_is_not_called_uniform():
    settings = {**SETTINGS, "selector_parameters": {"weights": "softmax"}}
    entry = choose_for(settings, {"a": -0.1, "b": -0.3})
    uniform = len(set(selected(entry).values())) == 1
    assert uniform == any("uniform" in w for w in entry["warnings"])


# --- the plan

ACCURACY = {  # model → evaluation locale → accuracy, far from symmetric
    "en-US": {"en-US": 0.95, "de-DE": 0.9, "fr-FR": 0.1, "th-TH": 0.3},
    "de-DE": {"en-US": 0.2, "de-DE": 0.95, "fr-FR": 0.7, "th-TH": 0.4},
    "fr-FR": {"en-US": 0.8, "de-DE": 0.3, "fr-FR": 0.95, "th-TH": 0.5},
    "th-TH": {"en-US": 0.4, "de-DE": 0.6, "fr-FR": 0.5, "th-TH": 0.95},
}


def plan_for(measure, folder):
    """Run the workflow's own steps from the table of cells to the plan."""
    locales = list(ACCURACY)
    cells = [
        {"model": m, "locale": e, "seed": 0, "split": "validation", "accuracy": a}
        for m, row in ACCURACY.items()
        for e, a in row.items()
    ]
    write_matrix(accuracy_matrix(pd.DataFrame(cells), "validation", locales, 0), folder / "validation.csv")
    compute_similarity.main(
        {"validation": [folder / "validation.csv"]},
        {"matrix": folder / "similarity.csv"},
        {"measure": measure, "locales": locales, "languages": {}, "parameters": {}, "seed": 0},
        1,
    )
    settings = {
        "experiments": {"e": {"settings": {**SETTINGS, "similarity_type": "X"}, "targets": ["en-US"], **PLAIN}},
        "seeds": [0],
        "groups": {},
        "pivot": "en-US",
        "cosines": "TASK_VECTOR_COSINE",
        "greedy": [],
        "baselines": [],
        "baseline_names": [],
        "scaling_grid": [],
        "targets": ["en-US"],
        "locales": list(ACCURACY),
        "tiers": {"X": "none"},
    }
    select_sources.main(
        {"similarities": [folder / "similarity.csv"], "greedy": [], "validation": []},
        {"plan": folder / "plan.json"},
        settings,
        1,
    )
    return json.loads((folder / "plan.json").read_text())


def test_real_reads_the_row_of_the_target(tmp_path):
    # the English model is at 0.9 on German, 0.3 on Thai, 0.1 on French
    entry = plan_for("real", tmp_path)["e/en-US/0"]
    assert [s["locale"] for s in entry["sources"]] == ["de-DE", "th-TH"]
    assert selected(entry) == pytest.approx({"de-DE": 0.9 / 1.2, "th-TH": 0.3 / 1.2})


def test_nxn_reads_the_column_of_the_target(tmp_path):
    # on English the French model is at 0.8, the Thai at 0.4, the German at 0.2
    entry = plan_for("nxn", tmp_path)["e/en-US/0"]
    assert [s["locale"] for s in entry["sources"]] == ["fr-FR", "th-TH"]
    assert selected(entry) == pytest.approx({"fr-FR": 0.8 / 1.2, "th-TH": 0.4 / 1.2})


def test_the_plan_has_an_entry_per_experiment_target_and_seed_with_that_seeds_similarity():
    similarities = {
        ("URIEL", 0): {"t": {"a": 0.9, "b": 0.1, "c": 0.1}, "a": {"b": 0.5, "c": 0.1, "t": 0.4}},
        ("URIEL", 7): {"t": {"a": 0.1, "b": 0.1, "c": 0.9}, "a": {"b": 0.1, "c": 0.5, "t": 0.4}},
    }
    experiments = {"e": {"settings": {**SETTINGS, "num_languages": 1}, "targets": ["t", "a"], **PLAIN}}
    plan = build_plan(experiments, [0, 7], similarities, STUDY)
    assert {k: e["sources"][0]["locale"] for k, e in plan.items()} == {
        "e/t/0": "a", "e/t/7": "c", "e/a/0": "b", "e/a/7": "c",
    }  # fmt: skip
    assert plan["e/t/7"] == {**plan["e/t/7"], "experiment": "e", "target": "t", "seed": 7, "tier": "none"}


@pytest.mark.parametrize(
    ("include", "tier", "method_tier", "expected", "of_selection"),
    [
        (False, "none", "none", "none", "none"),
        (False, "labelled validation", "none", "labelled validation", "labelled validation"),
        (True, "none", "unlabelled", "labelled training", "labelled training"),
        (False, "none", "unlabelled", "unlabelled", "none"),
    ],
)
def test_the_tier_is_the_highest_of_its_parts(include, tier, method_tier, expected, of_selection):
    settings = {**SETTINGS, "include_target": include}
    experiments = {"e": {**PLAIN, "settings": settings, "targets": ["t"], "method_tier": method_tier}}
    plan = build_plan(
        experiments, [0], {("URIEL", 0): {"t": {"a": 0.9, "b": 0.1}}}, {**STUDY, "tiers": {"URIEL": tier}}
    )
    entry = plan[entry_key("e", "t", 0)]
    assert (entry["tier"], entry["selection_tier"]) == (expected, of_selection)


def test_a_method_that_groups_gets_the_groups_of_its_sources():
    experiments = {
        "e": {"settings": SETTINGS, "targets": ["t"], "method_tier": "none", "grouped_by": "genus", "joint": []}
    }
    groups = {"genus": {"a": "Romance", "b": "Germanic", "t": "Slavic"}}
    plan = build_plan(experiments, [0], {("URIEL", 0): {"t": {"a": 0.9, "b": 0.1}}}, {**STUDY, "groups": groups})
    assert plan["e/t/0"]["groups"] == {"a": "Romance", "b": "Germanic"}


# --- the slice that a merge sees


def entry(method):
    return {
        "method": method,
        "target": "t",
        "seed": 7,
        "parameters": {},
        "sources": [
            {"locale": "b", "weight": 0.75, "similarity": 0.6},
            {"locale": "a", "weight": 0.25, "similarity": 0.2},
        ],
        "tier": "none",
        "warnings": [],
    }


def test_the_slice_is_alphabetical_and_keeps_each_sources_weight():
    assert merge_slice(entry("similarity")) == {
        "method": "similarity", "parameters": {}, "sources": ["a", "b"], "weights": [0.25, 0.75],
        "models": [["a", 7], ["b", 7]],
    }  # fmt: skip


def test_a_method_that_ignores_weights_gets_uniform_ones():
    assert merge_slice(entry("average"))["weights"] == [0.5, 0.5]


def test_the_slice_names_what_has_to_be_measured_on_each_source():
    given = {**entry("fisher"), "parameters": {"text": "both", "examples": 8}}
    assert merge_slice(given)["measurements"] == {
        s: [["fisher_examples-8", s, s, "validation"], ["fisher_examples-8", s, "t", "train"]] for s in "ab"
    }
    assert merge_slice(entry("regmean"))["measurements"] == {s: [["gram", s, s, "validation"]] for s in "ab"}


def test_the_slice_keeps_the_groups():
    assert merge_slice({**entry("similarity"), "groups": {"a": "x", "b": "y"}})["groups"] == {"a": "x", "b": "y"}


def test_planned_merges_are_read_again_when_the_plan_changes(tmp_path):
    path = tmp_path / "plan.json"
    for i, method in enumerate(["average", "similarity"]):
        path.write_text(json.dumps({"k": entry(method)}))
        os.utime(path, ns=(i, i))
        assert planned_merges(str(path)) == {"k": merge_slice(entry(method))}
