"""Measures and selectors through the whole workflow, on one set of models."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import copied, shared, snakemake, succeeded
from tests.dataset import LOCALES, local_config, write_dataset
from tests.workflow.events import rerun

MEASURES = ["EMBEDDING", "SUBWORD_OVERLAP", "TASK_VECTOR_COSINE", "RANDOM"]
FIXED = {"num_languages": 1, "method": "average"}
CONFIG = local_config(
    LOCALES,
    ablations=[
        {"name": "measures", "fixed": FIXED, "sweep": {"similarity_type": MEASURES}},
        {
            "name": "selectors",
            "fixed": {**FIXED, "similarity_type": "NXN"},
            "sweep": {"selector": ["greedy", "sinkhorn", "diverse", "random_k"]},
        },
        {"name": "threshold", "fixed": {"method": "average", "num_languages": "all", "selector": "threshold"}},
        {"name": "pivot", "fixed": {**FIXED, "num_languages": 2, "selector": "pivot"}},
        {
            "name": "compatible",
            "fixed": {"num_languages": 2, "method": "similarity", "compatibility": True, "include_target": True},
            "sweep": {"selector": ["top_k", "greedy"]},
        },
    ],
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    def make(directory: Path) -> None:
        write_dataset(directory / "data", LOCALES)
        jobs, _ = rerun(directory, CONFIG, "evaluation")
        assert (jobs["greedy"], jobs["merge"]) == (2 * len(LOCALES), len(LOCALES))

    yield from shared(tmp_path_factory, "selection", make)


def plan(directory: Path) -> dict:
    return json.loads((directory / "results/own/selection/plan.json").read_text(encoding="utf-8"))


def test_every_measure_shapes_its_plan(finished: Path) -> None:
    for measure in MEASURES:
        matrix = pd.read_csv(finished / f"results/own/similarity/{measure}/seed0.csv", index_col=0)
        for target in LOCALES:
            row = matrix.loc[target].drop(target)
            nearest = min(row.index, key=lambda s: (-row[s], s))
            entry = plan(finished)[f"average_{measure}_k1_exc/{target}/0"]
            assert [s["locale"] for s in entry["sources"]] == [nearest]


def test_the_greedy_search_is_what_the_plan_takes(finished: Path) -> None:
    validation = pd.read_csv(finished / "results/own/nxn/evaluation_matrix_validation_seed0.csv", index_col=0)
    for target in LOCALES:
        found = json.loads((finished / f"results/own/selection/greedy/{target}/seed0-exc.json").read_text())
        order = [step["source"] for step in found["steps"]]
        assert order == sorted(validation.drop(target).index, key=lambda s: (-validation.loc[s, target], s))
        assert found["steps"][0]["accuracy"] == pytest.approx(validation.loc[order[0], target]), "a merge of one source"
        best = found["steps"][0]["accuracy"]
        for step in found["steps"][1:]:
            assert step["taken"] == (step["accuracy"] >= best)
            best = step["accuracy"] if step["taken"] else best
        entry = plan(finished)[f"average_NXN_greedy_k1_exc/{target}/0"]
        assert [s["locale"] for s in entry["sources"]] == found["sources"][:1]
        with_target = json.loads((finished / f"results/own/selection/greedy/{target}/seed0-inc.json").read_text())
        assert with_target["sources"][0] == target


def test_tiers_follow_what_was_looked_at(finished: Path) -> None:
    tiers = {entry["experiment"]: entry["tier"] for entry in plan(finished).values()}
    assert tiers["average_EMBEDDING_k1_exc"] == tiers["average_SUBWORD_OVERLAP_k1_exc"] == "unlabelled"
    assert tiers["average_RANDOM_k1_exc"] == tiers["average_NXN_random_k_k1_exc"] == "none"
    assert tiers["average_TASK_VECTOR_COSINE_k1_exc"] == "labelled training"
    assert tiers["average_NXN_greedy_k1_exc"] == tiers["average_NXN_sinkhorn_k1_exc"] == "labelled validation"


def test_the_pivot_is_a_source_and_no_target(finished: Path) -> None:
    entries = {key: e for key, e in plan(finished).items() if e["experiment"] == "average_URIEL_pivot_k2_exc"}
    assert {e["target"] for e in entries.values()} == {"de-DE", "es-ES"}
    assert all("en-US" in [s["locale"] for s in e["sources"]] for e in entries.values())


def test_a_second_run_does_nothing(finished: Path, tmp_path: Path) -> None:
    assert "Nothing to be done" in succeeded(snakemake(copied(finished, tmp_path), CONFIG, "evaluation"))
