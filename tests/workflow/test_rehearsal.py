"""A rehearsal of the 49-locale study: the preset as it is, with a tiny encoder and a few sentences per locale."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import snakemake, succeeded
from tests.rehearsal import rehearsal_config, write_rehearsal
from workflow_scripts.findings.reference_comparison import UNKNOWN
from workflow_scripts.study.study import load_study

CONFIG = rehearsal_config()
LOCALES: list[str] = CONFIG["locales"]
N = 49
PER_LOCALE = {"examples": 3, "finetune": 1, "row": 1, "merge": 1, "evaluate": 1}  # jobs
pytestmark = pytest.mark.rehearsal


@pytest.fixture(scope="module")
def finished(rehearsal_run: Path) -> Path:
    """The results of a finished rehearsal."""
    return rehearsal_run / "results" / "massive"


@pytest.fixture(scope="module")
def experiments(finished: Path) -> list[str]:
    """The names of all experiments; the config's check looks for the archive."""
    return list(load_study({**CONFIG, "data": {"provider": "massive"}}).experiments)


def planned_jobs(said: str) -> dict[str, int]:
    """Rule → number of jobs, as a dry run says it."""
    words = [line.split() for line in said[said.index("Job stats") :].splitlines()]
    return {" ".join(w[:-1]): int(w[-1]) for w in words if len(w) > 1 and w[-1].isdigit()}


def sidecars(finished: Path, pattern: str) -> list[dict]:
    found = sorted(finished.glob(pattern))
    assert len(found) == N, pattern
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def test_what_grows_with_the_locales_is_planned_before_anything_is_made(tmp_path: Path) -> None:
    write_rehearsal(tmp_path, LOCALES)
    planned = planned_jobs(succeeded(snakemake(tmp_path, CONFIG, "--dry-run", "--quiet", "rules")))
    total = planned.pop("total")
    assert total == sum(planned.values())
    assert {rule: planned.pop(rule) for rule in PER_LOCALE} == {rule: n * N for rule, n in PER_LOCALE.items()}
    assert sum(planned.values()) < 30 and planned["similarity_matrix"] + planned["compare_languages"] == 8
    assert not (tmp_path / "results" / "massive" / "data").exists()


def test_every_locale_is_trained_once_and_scored_on_every_locale(finished: Path) -> None:
    assert all(s["computed"] for s in sidecars(finished, "models/*/seed0/model.json"))
    assert sum(len(s["computed"]) for s in sidecars(finished, "nxn/rows/*/seed0/row.json")) == N * N
    matrix = pd.read_csv(finished / "nxn/evaluation_matrix.csv", index_col=0)
    assert list(matrix.index) == list(matrix.columns) == LOCALES and not matrix.isna().any(axis=None)
    cells = pd.read_csv(finished / "nxn/cells.csv")
    assert len(cells) == 2 * N * N and set(cells.loc[cells.split == "test", "n"]) == {120}


def test_every_experiment_is_planned_merged_and_evaluated_for_every_target(
    finished: Path, experiments: list[str]
) -> None:
    assert len(experiments) == 40
    plan = json.loads((finished / "selection/plan.json").read_text(encoding="utf-8"))
    assert len(plan) == (40 + 1) * N, "the average of all other models is a baseline"
    for merged in sidecars(finished, "merge/*/seed0/merges.json"):
        assert set(merged) == {*experiments, "average_all"}
    for path in (finished / "evaluation" / f"{locale}.csv" for locale in LOCALES):
        systems = pd.read_csv(path, keep_default_na=False)
        merges = systems[(systems["system"] == "merge") & (systems["seed"] == "mean")]
        assert sorted(merges["experiment"]) == sorted(experiments)


def test_the_report_has_a_row_for_everything(finished: Path, experiments: list[str]) -> None:
    details = pd.read_csv(finished / "report/merge_details.csv")
    assert len(details) == 40 * N and set(details["experiment"]) == set(experiments)
    assert len(pd.read_csv(finished / "report/cross_lingual_summary.csv")) == N
    assert "One seed: descriptive" in (finished / "report/report.md").read_text(encoding="utf-8")
    assert all((finished / "report" / f"{name}.png").stat().st_size > 10_000 for name in ("nxn_heatmap",))


def test_the_older_studys_numbers_are_filled_in(finished: Path) -> None:
    table = pd.read_csv(finished / "report/reference_comparison.csv")
    assert len(table) == 3 + 2 * (1 + 1 + 10 + 6 + 6), "self, two merges, and all of zero-shot read in two ways"
    assert table["note"].isna().sum() == 3 and set(table["note"].dropna()) == {UNKNOWN}
    assert not table[["older_study", "this_run", "difference"]].isna().any(axis=None)
    assert set(table["targets"].dropna()) == {1, N}


def test_a_second_run_does_nothing(finished: Path) -> None:
    assert "Nothing to be done" in succeeded(snakemake(finished.parents[1], CONFIG))
