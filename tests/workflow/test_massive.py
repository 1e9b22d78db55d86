"""MASSIVE through the whole workflow, from a small archive of its layout."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import copied, preset, shared, snakemake, succeeded
from tests.massive import write_archive
from tests.workflow.events import rerun
from workflow_scripts.data.providers.massive.facts import LABELS

LOCALES = ["en-US", "de-DE", "sw-KE"]
MORE = [*LOCALES, "th-TH"]
FEW_LABELS = LABELS[:6]


def config(locales: list[str] = LOCALES, path: str | None = "massive.tar.gz") -> dict[str, Any]:
    data = {"provider": "massive", "path": path}
    return preset("tiny", run="massive", locales=locales, labels=list(FEW_LABELS), data=data)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with an archive and a finished run on it; do not change it."""

    def make(directory: Path) -> None:
        rows = {"train": 12, "dev": 3, "test": 4}
        write_archive(directory / "massive.tar.gz", MORE, per_label=rows, labels=FEW_LABELS)
        succeeded(snakemake(directory, config()))

    yield from shared(tmp_path_factory, "massive", make)


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return copied(finished, tmp_path)


def test_the_data_are_fetched_once_and_stay_parallel(finished: Path) -> None:
    data = finished / "results/massive/data"
    facts = json.loads((data / "original.json").read_text())
    assert facts["origin"] == "massive.tar.gz" and sorted(facts["rows"]) == sorted(MORE)
    tables = [pd.read_parquet(data / locale / "test.parquet") for locale in LOCALES]
    assert all(t["cluster"].tolist() == tables[0]["cluster"].tolist() and len(t) == 24 for t in tables)
    assert len({tuple(t["text"]) for t in tables}) > 1
    assert (finished / "results/massive/report/report.md").exists()


def test_a_locale_more_is_not_fetched_again(copy: Path) -> None:
    jobs, computed = rerun(copy, config(MORE), "evaluation")
    assert "fetch" not in jobs and jobs["examples"] == 3
    assert (computed["trainings"], computed["cells"]) == (1, 7)


def test_another_archive_is_fetched_and_what_is_the_same_in_it_costs_nothing(copy: Path) -> None:
    write_archive(copy / "massive.tar.gz", LOCALES, per_label={"train": 12, "dev": 3, "test": 4}, labels=FEW_LABELS)
    jobs, computed = rerun(copy, config())
    assert jobs["fetch"] == 1 and computed == {"trainings": 0, "cells": 0, "merges": 0}


def test_a_locale_that_the_archive_lacks_is_named(copy: Path) -> None:
    done = snakemake(copy, config([*LOCALES, "fi-FI"]), "data")
    assert done.returncode == 1 and "for locale 'fi-FI'" in done.stdout.replace("\n", " "), done.stdout


def test_without_a_network_the_run_says_what_to_do(tmp_path: Path) -> None:
    away = {"XLMERGE_CACHE": str(tmp_path / "cache"), "https_proxy": "http://127.0.0.1:9"}
    done = snakemake(tmp_path, config(path=None), "data", environment=away)
    said = " ".join(done.stdout.split())
    assert done.returncode == 1 and "MASSIVE 1.1 cannot be downloaded" in said and "put it at" in said
    assert "Traceback" not in done.stdout
    write_archive(tmp_path / "cache/amazon-massive-dataset-1.1.tar.gz", LOCALES, labels=FEW_LABELS)
    succeeded(snakemake(tmp_path, config(path=None), "data", environment=away))
