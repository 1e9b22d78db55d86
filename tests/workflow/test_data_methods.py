"""Methods that need data, through the whole workflow: what is measured, what reruns cost, what the report says."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import copied, shared, snakemake, succeeded
from tests.dataset import LOCALES, change_data, local_config, write_dataset
from tests.workflow.events import rerun

N = len(LOCALES)
CONFIG: dict[str, Any] = local_config(
    LOCALES,
    ablations=[
        {
            "name": "data",
            "fixed": {"num_languages": 2, "similarity_type": "URIEL", "weights": "uniform", "steps": 3, "examples": 8},
            "sweep": {"method": ["regmean", "adamerging", "distill"]},
        },
        {
            "name": "fisher",
            "fixed": {"num_languages": 2, "weights": "uniform", "method": "fisher", "examples": 8, "text": "both"},
        },
        {
            "name": "labels",
            "fixed": {"num_languages": 2, "weights": "uniform", "method": "evolve", "budget": 3},
        },
        {
            "name": "upwards",
            "fixed": {
                "num_languages": 2,
                "weights": "uniform",
                "method": "regmean",
                "progressive": True,
                "examples": 8,
            },
        },
        {
            "name": "families",
            "fixed": {"num_languages": "all", "include_target": True, "method": "hierarchical", "by": "genus"},
        },
    ],
)
# gram of each source; Fisher of each source on its own text and on the N − 1 targets that it is a source of
MEASUREMENTS = N + N + N * (N - 1)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    def make(directory: Path) -> None:
        write_dataset(directory / "data", LOCALES)
        jobs, _ = rerun(directory, CONFIG)
        assert (jobs["measure"], jobs["merge"]) == (MEASUREMENTS, N)

    yield from shared(tmp_path_factory, "data-methods", make)


def measured(directory: Path) -> dict[Path, int]:
    """Return the modification times of the measurements' values."""
    return {p: p.stat().st_mtime_ns for p in (directory / "results/own/measurements").rglob("*.safetensors")}


def test_the_results_tell_what_was_learned_and_what_it_saw(finished: Path) -> None:
    facts = json.loads((finished / "results/own/merge/de-DE/seed0/merges.json").read_text())
    adapted = next(f for name, f in facts.items() if name.startswith("adamerging"))["adaptation"]
    assert len(adapted["coefficients"]["model"]) == 2 and adapted["entropy"]["first"] > 0
    norms = [f["encoder"]["norm"] for f in facts.values()]
    assert len(set(norms)) == len(norms) == 8, "seven experiments and average_all"
    details = pd.read_csv(finished / "results/own/report/merge_details.csv").groupby("experiment")["tier"].first()
    tiers = {name.split("_URIEL")[0]: tier for name, tier in details.items()}
    assert tiers == {
        "adamerging_steps-3": "unlabelled",
        "distill_steps-3": "unlabelled",
        "evolve_budget-3": "labelled validation",
        "fisher_examples-8_text-both": "unlabelled",
        "hierarchical_by-genus": "labelled training",
        "regmean_examples-8": "none",
        "regmean_examples-8_progressive-True": "none",
    }


def test_a_second_run_does_nothing(finished: Path, tmp_path: Path) -> None:
    assert "Nothing to be done" in succeeded(snakemake(copied(finished, tmp_path), CONFIG))


def test_training_data_cost_what_they_touch_and_nothing_when_they_come_back(finished: Path, tmp_path: Path) -> None:
    """German's model changes, and the target text of merges for German: all measurements but those two kinds stay."""
    directory = copied(finished, tmp_path)
    before = measured(directory)
    change_data(directory, "de-DE", "train")
    jobs, _ = rerun(directory, CONFIG, "evaluation")
    changed = {
        p.relative_to(directory / "results/own/measurements") for p, t in measured(directory).items() if t != before[p]
    }
    ours = {p for p in changed if p.parts[1] == "de-DE"}
    texts = {p for p in changed if p.stem == "de-DE-train"}
    assert changed == ours | texts and len(ours) == 1 + 1 + (N - 1) and len(texts) == N - 1
    assert jobs["measure"] == len(changed)

    shutil.copy(finished / "data/de-DE.jsonl", directory / "data/de-DE.jsonl")
    rerun(directory, CONFIG, "evaluation")
    sidecars = [json.loads(p.with_suffix(".json").read_text()) for p in measured(directory)]
    assert [s["computed"] for s in sidecars].count([]) == len(changed)
    for name in ("merge/de-DE/seed0/merges.json", "evaluation/es-ES.csv"):
        assert (directory / "results/own" / name).read_bytes() == (finished / "results/own" / name).read_bytes()


def test_a_damaged_measurement_is_named(finished: Path, tmp_path: Path) -> None:
    directory = copied(finished, tmp_path)
    results = directory / "results/own"
    shutil.rmtree(results / "cache/merges")
    (results / "merge/de-DE/seed0/merge.digest").unlink()
    path = next((results / "measurements").glob("gram*/en-US/seed0/en-US-validation.safetensors"))
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.unlink()  # a file of its own: the cache's copy may share its bytes
    path.write_bytes(content)
    done = snakemake(directory, CONFIG)
    assert done.returncode != 0 and "en-US-validation.safetensors is damaged or was replaced" in done.stdout


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"method": "slerp", "num_languages": "all"}, None),
        ({"method": "slerp", "num_languages": 3, "include_target": True}, "slerp merges exactly 2 sources, not 3"),
        ({"method": "hierarchical", "inner": "fisher", "num_languages": 2}, "hierarchical: inner cannot be fisher"),
    ],
)
def test_what_cannot_work_is_said_before_any_job(tmp_path: Path, block: dict[str, Any], message: str | None) -> None:
    write_dataset(tmp_path / "data", LOCALES)
    done = snakemake(tmp_path, {**CONFIG, "ablations": [{"name": "x", "fixed": block}]}, "-n")
    if message is None:
        succeeded(done)
    else:
        assert done.returncode != 0 and message in done.stdout
