"""What each change costs: jobs by rule, and trainings, cells and merges that are computed and not looked up.

docs/how-to/reruns.md holds the same table in words.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, copied, shared, snakemake, succeeded
from tests.dataset import LOCALES, change_data, local_config, write_dataset
from tests.workflow.events import rerun

N = len(LOCALES)
SOURCES = ("Snakefile", "rules", "workflow_scripts", "profiles", "envs")
BLOCK = {
    "name": "methods",
    "fixed": {"num_languages": 2, "weights": "uniform"},
    "sweep": {"method": ["average", "ties"], "similarity_type": ["URIEL", "NXN"]},
}
NOTHING = {"trainings": 0, "cells": 0, "merges": 0}
REPORT = {"analyse": 1, "report": 1, "database": 1, "figures": 1}
TO_EVALUATION = {"evaluate": N}
TO_PLAN = {"row": N, "matrix": 1, "similarity": 1, "select": 1}
FROM_ROWS = {**TO_PLAN, **TO_EVALUATION}


def config(locales: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    return local_config(locales or LOCALES, **{"ablations": [BLOCK], **changes})


@dataclass(frozen=True)
class Project:
    """A copy of the code, and a directory with data and results."""

    root: Path
    work: Path

    @property
    def results(self) -> Path:
        return self.work / "results" / "own"

    def edit(self, module: str, old: str, new: str) -> None:
        path = self.root / "workflow_scripts" / module
        text = path.read_text(encoding="utf-8")
        assert re.search(old, text), f"{module} does not hold {old!r}"
        path.write_text(re.sub(old, new, text, count=1), encoding="utf-8")

    def rerun(self, run: dict[str, Any], until: str = "all") -> tuple[dict[str, int], dict[str, int]]:
        return rerun(self.work, run, until, root=self.root)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose run is finished, with one locale's data in reserve; do not change it."""
    yield from shared(tmp_path_factory, "reruns", make_project)


def make_project(folder: Path) -> None:
    project = Project(folder / "project", folder / "work")
    project.root.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, project.root / name)
    write_dataset(project.work / "data", [*LOCALES, "fr-FR"])
    _, computed = project.rerun(config())
    assert computed == {"trainings": N, "cells": N * N, "merges": 2 * N}
    assert (project.results / "report" / "report.md").exists()


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Project:
    folder = copied(finished, tmp_path)
    return Project(folder / "project", folder / "work")


def touch(project: Project, *patterns: str) -> None:
    found = [p for pattern in patterns for base in (project.root, project.work) for p in base.glob(pattern)]
    assert found
    for path in found:
        os.utime(path)


def delete(project: Project, *names: str) -> None:
    for name in names:
        path = project.results / name
        assert path.exists(), name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def ties(density: float) -> list[dict[str, Any]]:
    return [{**BLOCK, "sweep": {**BLOCK["sweep"], "density": [density]}}]  # type: ignore[dict-item]


@dataclass(frozen=True)
class Event:
    """A change, and what the next run must cost; unlisted rules must run no job.

    The report follows every evaluation that changes: one event shows it, others run up to the evaluation where it is
    not their subject.
    """

    change: Callable[[Project], Any]
    jobs: dict[str, int] = field(default_factory=dict)
    computed: dict[str, int] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    until: str = "all"


ONE_LOCALE = {"examples": 3, "finetune": 1, **FROM_ROWS}
COMMENTED = (
    "merging/methods/ties.py",
    "models/training.py",
    "models/predict.py",
    "study/config.py",
    "jobs/merge_models.py",
)

EVENTS = {
    "nothing": Event(lambda p: None),
    "touch the data": Event(lambda p: touch(p, "data/*")),
    "touch the models": Event(lambda p: touch(p, "results/own/models/*/*/*")),
    "touch the rows": Event(lambda p: touch(p, "results/own/nxn/rows/*/*/*")),
    "touch the plan": Event(lambda p: touch(p, "results/own/selection/plan.json")),
    "touch the scripts": Event(lambda p: touch(p, "workflow_scripts/jobs/*.py", "rules/*.smk", "Snakefile")),
    "touch everything, as git checkout does": Event(lambda p: touch(p, "**/*.py", "**/*.smk", "data/*", "results/own/**/*.*")),
    "edit comments": Event(lambda p: [p.edit(m, r"\n(import|from) ", r"\n# A new comment.\n\1 ") for m in COMMENTED]),
    "test data": Event(
        lambda p: change_data(p.work, "de-DE", "test"), {**ONE_LOCALE, "merge": 1, **REPORT}, {"cells": N, "merges": 2}
    ),
    "training data": Event(
        lambda p: change_data(p.work, "de-DE", "train"),
        {**ONE_LOCALE, "merge": 2},
        {"trainings": 1, "cells": N, "merges": 4},
        until="evaluation",
    ),
    "test and training data": Event(
        lambda p: [change_data(p.work, "de-DE", split) for split in ("test", "train")],
        {**ONE_LOCALE, "merge": 3},
        {"trainings": 1, "cells": 2 * N - 1, "merges": 6},
        until="evaluation",
    ),
    "reorder the locales": Event(
        lambda p: None, {**FROM_ROWS, "similarity": 2}, config={"locales": LOCALES[::-1]}, until="evaluation"
    ),
    "a method's parameter": Event(
        lambda p: None,
        {"select": 1, "merge": N, **TO_EVALUATION},
        {"merges": N},
        config={"ablations": ties(0.4)},
        until="evaluation",
    ),
    "edit ties.py": Event(
        lambda p: p.edit("merging/methods/ties.py", r"\nUSES_WEIGHTS = True", "\nUSES_WEIGHTS = bool(1)"),
        {"merge": N, **TO_EVALUATION},
        {"merges": N},
        until="evaluation",
    ),
    "edit the training loop, same result": Event(
        lambda p: p.edit("models/training.py", "per_device_eval_batch_size=64", "per_device_eval_batch_size=32"),
        {"finetune": N, **TO_PLAN},  # the models are the same bytes: nothing after the plan runs
        {"trainings": N},
    ),
    "edit a figure": Event(lambda p: p.edit("report/figures/nxn_heatmap.py", "rotation=60", "rotation=61"), {"figures": 1}),
    "edit the HTML report": Event(lambda p: p.edit("report/templates/report.css", "14mm", "15mm"), {"report": 1}),
    "delete a model": Event(
        lambda p: delete(p, "models/de-DE/seed0/model.safetensors"), {"finetune": 1, **TO_PLAN, "row": 1}
    ),
    "delete a row": Event(lambda p: delete(p, "nxn/rows/de-DE/seed0/test.safetensors"), {**TO_PLAN, "row": 1}),
    "delete the report": Event(lambda p: delete(p, "report/report.md"), {"report": 1}),
    "delete a model and its cache": Event(
        lambda p: delete(p, "models/de-DE/seed0/model.safetensors", "cache/models"),
        {"finetune": 1, **TO_PLAN, "row": 1},
        {"trainings": 1},
    ),
    "similarity changes, selection stays": Event(
        lambda p: None,
        {"similarity": 1, "select": 1, **TO_EVALUATION},
        config={"similarity": {"URIEL": {"features": "phonology_knn"}}},
        until="evaluation",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_a_change_costs_what_it_must(name: str, project: Project) -> None:
    event = EVENTS[name]
    event.change(project)
    jobs, computed = project.rerun(config(**event.config), event.until)
    asked = jobs.pop("complete", 0)  # the last job asks whether all merges were made, at times without need
    assert asked or event.until != "all" or "merge" not in event.jobs
    assert jobs == event.jobs
    assert computed == {**NOTHING, **event.computed}


def test_locale_added_removed_and_hyper_parameter_set_back(project: Project) -> None:
    """A chain in one directory: each step costs what it must, each step back costs nothing."""

    def rerun(run: dict[str, Any]) -> dict[str, int]:
        return project.rerun(run, "evaluation")[1]

    def evaluation() -> dict[str, bytes]:
        return {name: (project.results / f"evaluation/{name}.csv").read_bytes() for name in LOCALES}

    before = evaluation()
    added = rerun(config([*LOCALES, "fr-FR"]))
    assert (added["trainings"], added["cells"]) == (1, 2 * N + 1)
    removed = rerun(config())
    assert removed == NOTHING
    settings = config()["finetune"]
    changed = rerun(config(finetune={**settings, "learning_rate": 2.0e-3}))
    assert (changed["trainings"], changed["cells"]) == (N, N * N)
    assert evaluation() != before
    assert rerun(config()) == NOTHING
    assert evaluation() == before


def test_prune_cache_keeps_what_the_results_are_made_of(project: Project) -> None:
    change_data(project.work, "de-DE", "train")
    project.rerun(config(), "evaluation")
    files = set((project.results / "cache").rglob("*.*"))
    succeeded(snakemake(project.work, config(), "prune_cache", root=project.root))
    kept = {p for p in files if p.exists()}
    assert 0 < len(kept) < len(files)
    delete(project, "models", "nxn", "merge")
    _, computed = project.rerun(config(), "evaluation")
    assert computed == NOTHING
