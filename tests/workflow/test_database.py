"""The database of a finished run, the documented queries, and the advice for one target."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT, preset, snakemake, succeeded, xlmerge
from workflow_scripts.core.words import with_minus

LOCALES = preset("tiny")["locales"]
QUERIES = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/reference/database.md").read_text(encoding="utf-8"), re.S)


def query(database: Path, sql: str) -> pd.DataFrame:
    with closing(sqlite3.connect(database)) as connection:
        return pd.read_sql(sql, connection)


@pytest.fixture
def database(tiny_run: Path) -> Path:
    return tiny_run / "results/tiny/experiments.db"


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_tables_hold_what_the_files_say(database: Path) -> None:
    experiments = query(database, "SELECT * FROM experiments")
    details = pd.read_csv(database.parent / "report/merge_details.csv")
    merged = experiments.merge(
        details, left_on=["experiment", "locale", "seed"], right_on=["experiment", "target", "seed"]
    )
    assert len(merged) == len(experiments) == len(details) == 4 * len(LOCALES)
    for column in ("accuracy", "effect_best", "best_zero_shot_val", "n"):
        pd.testing.assert_series_equal(merged[f"{column}_x"], merged[f"{column}_y"], check_names=False)
    assert set(experiments["ablation_name"]) == {"tiny"} and set(experiments["status"]) == {"completed"}
    assert (experiments["completed_at"] >= experiments["started_at"]).all()
    counts = {
        name: query(database, f"SELECT COUNT(*) AS n FROM {name}")["n"].item() for name in ("nxn_cells", "models")
    }
    assert counts == {"nxn_cells": 2 * len(LOCALES) ** 2, "models": len(LOCALES)}
    weights = query(
        database, "SELECT experiment, target, SUM(weight) AS total FROM selections GROUP BY experiment, target, seed"
    )
    assert weights["total"].to_numpy() == pytest.approx(1) and len(weights) == len(experiments)
    assert set(query(database, "SELECT DISTINCT rule FROM jobs")["rule"]) == {
        "finetune",
        "row",
        "merge",
        "similarity_matrix",
    }


def test_the_best_method_is_chosen_on_validation_data(database: Path) -> None:
    best = query(database, "SELECT * FROM best_method_per_target").set_index("locale")
    experiments = query(database, "SELECT * FROM experiments")
    assert sorted(best.index) == sorted(LOCALES)
    for locale, rows in experiments.groupby("locale"):
        assert best.loc[locale, "accuracy_validation"] == rows["accuracy_validation"].max()


@pytest.mark.parametrize("sql", QUERIES)
def test_documented_queries_answer(database: Path, sql: str) -> None:
    assert len(query(database, sql)) > 0
    assert len(QUERIES) == 5


def test_rebuilding_gives_the_same_content(tiny_copy: Path) -> None:
    database = tiny_copy / "results/tiny/experiments.db"
    before = dump(database)
    database.unlink()
    succeeded(snakemake(tiny_copy, preset("tiny")))
    assert dump(database) == before


def test_advice_for_one_target(tiny_run: Path) -> None:
    options = ["--configfile", "presets/tiny.yaml", "--directory", tiny_run]
    done = xlmerge("recommend", "de-DE", *options)
    assert done.exit_code == 0
    text = done.stdout
    advised = pd.read_csv(tiny_run / "results/tiny/report/recommendations.csv")
    own = advised[(advised["target"] == "de-DE") & advised["primary"]].iloc[0]
    assert text.startswith("de-DE, with labelled validation data: ")
    assert with_minus(own["reason"]) in " ".join(text.split())
    assert own["what"] in text.splitlines()[0] and f"confidence {own['confidence']}." in text.splitlines()[0]
    assert "de-DE, without any data: " in text
    assert "One seed: descriptive" in text and text.count("merge ties_") + text.count("merge average_") >= 4
    wrong = xlmerge("recommend", "de-XX", *options)
    assert wrong.exit_code == 1 and "unknown target 'de-XX'; did you mean 'de-DE'?" in wrong.stderr


def test_advice_without_results_says_what_to_do(tmp_path: Path) -> None:
    done = xlmerge("recommend", "de-DE", "--configfile", "presets/tiny.yaml", "--directory", tmp_path)
    assert done.exit_code == 1 and "has no results for de-DE yet" in done.stderr
