"""A run in a fast number format: one decision for all its jobs, stated in their sidecars."""

import json
from pathlib import Path
from typing import Any

from tests.conftest import preset, snakemake, succeeded
from tests.workflow.events import rerun

LOCALES: list[str] = preset("tiny")["locales"]
N = len(LOCALES)


def config(precision: str) -> dict[str, Any]:
    return preset("tiny", evaluation={"precision": precision})


def sidecars(directory: Path) -> list[dict[str, Any]]:
    results = directory / "results/tiny"
    found = [*results.glob("nxn/rows/*/*/row.json"), *results.glob("merge/*/*/merge.json")]
    assert len(found) == 2 * N
    return [json.loads(path.read_text()) for path in found]


def test_one_decision_for_a_run(tiny_copy: Path) -> None:
    assert all(s["precision"] == {"mode": "float32"} for s in sidecars(tiny_copy))
    jobs, computed = rerun(tiny_copy, config("auto"), "evaluation")
    decision = json.loads((tiny_copy / "results/tiny/nxn/precision/decision.json").read_text())
    assert all(s["precision"] == decision for s in sidecars(tiny_copy))
    assert jobs["precision"] == 1 and jobs["row"] == N
    assert computed["trainings"] == 0 and computed["cells"] == (0 if decision["mode"] == "float32" else N * N)
    assert all(count["of"] == N * N * 16 for count in decision["agreement"].values())
    assert "Nothing to be done" in succeeded(snakemake(tiny_copy, config("auto"), "evaluation"))
    _, back = rerun(tiny_copy, preset("tiny"), "evaluation")
    assert back == {"trainings": 0, "cells": 0, "merges": 0}
