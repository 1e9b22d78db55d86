"""The table that shows what selectors picked, against a case worked out by hand."""

import pandas as pd
import pytest

from workflow_scripts.results.selection_diagnostics import selection_diagnostics, selector_overview

LOCALES = ["a", "b", "c", "t"]
TRANSFER = pd.DataFrame({"t": [0.5, 0.7, 0.2, 0.9]}, index=LOCALES)  # models on t: b is best, then a, then c
SIMILARITY = pd.DataFrame([[0.1, 0.2, 0.9, 1.0]], index=["t"], columns=LOCALES)  # c is nearest, then b, then a


def settings(**changes):
    return {
        "similarity_type": "X", "selector": "top_k", "selector_parameters": {"weights": "uniform"}, "num_languages": 2,
        "include_target": False, "target_similarity": 1.0, "compatibility": False, **changes,
    }  # fmt: skip


def entry(experiment, *sources):
    chosen = [{"locale": s, "weight": 1 / len(sources)} for s in sources]
    return {"experiment": experiment, "target": "t", "seed": 0, "sources": chosen, "selection_tier": "none"}


def table(entries, experiments):
    return selection_diagnostics(entries, experiments, {0: TRANSFER}, {("X", 0): SIMILARITY})


def test_ranks_overlap_and_transfer_by_hand():
    found = table([entry("m1", "c", "b"), entry("m2", "c", "b")], {"m1": settings(), "m2": settings()})
    assert len(found) == 1, "experiments that differ in the merge alone share a row"
    row = found.iloc[0]
    assert (row["sources"], row["rank_by_transfer"], row["rank_by_similarity"]) == ("c;b", "3;1", "1;2")
    assert (row["overlap"], row["candidates"], row["chance_rank"], row["mean_rank_by_transfer"]) == (1, 3, 2.0, 2.0)
    assert (row["transfer"], row["best_transfer"]) == (pytest.approx(0.45), pytest.approx(0.6))


def test_the_target_itself_has_no_rank():
    found = table([entry("m", "t", "a")], {"m": settings(include_target=True)}).iloc[0]
    assert (found["sources"], found["rank_by_transfer"], found["chosen"]) == ("a", "2", 1)


def test_the_overview_puts_the_better_selection_first():
    experiments = {"m": settings(), "n": settings(selector="sinkhorn", selector_parameters={})}
    rows = selector_overview(table([entry("m", "c", "a"), entry("n", "b", "a")], experiments))
    assert [r["selector"] for r in rows] == ["sinkhorn", "top_k"]
    assert rows[0]["overlap"] == 1 and rows[1]["overlap"] == 0.5


def test_a_selectors_parameters_are_told_where_they_vary():
    experiments = {"m": settings(), "n": settings(selector_parameters={"weights": "similarity"})}
    rows = selector_overview(table([entry("m", "c", "a"), entry("n", "b", "a")], experiments))
    assert [r["selector"] for r in rows] == ["top_k (weights=similarity)", "top_k (weights=uniform)"]
