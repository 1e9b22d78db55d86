"""The whole chain on the tiny preset: every output is there, sensible, reproducible, and made once."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd

from tests.conftest import preset, snakemake, succeeded
from workflow_scripts.findings.claims import ledger
from workflow_scripts.findings.predictor.recommendations import COLUMNS
from workflow_scripts.results.items import read_items
from workflow_scripts.statistics import comparison

LOCALES = preset("tiny")["locales"]
REPORT = {
    "report.md", "report.html", "summary.txt",
    "cross_lingual_summary.csv", "merge_details.csv", "key_performance_comparison.png",
    "merge_improvement_analysis.png", "zero_shot_comparison.png", "nxn_heatmap.png", "selection_diagnostics.csv",
    "statistics.csv", "statistics.json", "claims.csv", "worth_in_labels.csv",
    "predictor.json", "recommendations.csv",
}  # fmt: skip


def test_every_output_is_there(tiny_run: Path) -> None:
    results = tiny_run / "results" / "tiny"
    assert {p.name for p in (results / "report").iterdir()} == REPORT
    for locale in LOCALES:
        for split in ("train", "validation", "test"):
            table = pd.read_parquet(results / "data" / locale / f"{split}.parquet")
            assert list(table.columns) == ["id", "text", "label", "cluster"]
        assert (results / "models" / locale / "seed0" / "model.safetensors").stat().st_size > 1000
    assert not list(results.rglob("*.tmp")), "a temporary file was left behind"


def test_matrix_rows_are_models(tiny_run: Path) -> None:
    results = tiny_run / "results" / "tiny" / "nxn"
    matrix = pd.read_csv(results / "evaluation_matrix.csv", index_col=0)
    assert list(matrix.index) == list(matrix.columns) == LOCALES
    cells = pd.read_csv(results / "cells.csv")
    cell = cells[(cells.model == "de-DE") & (cells.locale == "es-ES") & (cells.split == "test")].iloc[0]
    assert matrix.loc["de-DE", "es-ES"] == cell.accuracy == cell.correct / cell.n
    own = [matrix.loc[name, name] for name in LOCALES]
    assert sum(own) / len(own) > matrix.to_numpy().mean(), "own models should be best on average"


def test_templates_are_not_shared_between_splits(tiny_run: Path) -> None:
    for locale in LOCALES:
        folder = tiny_run / "results" / "tiny" / "data" / locale
        clusters = [set(pd.read_parquet(folder / f"{s}.parquet")["cluster"]) for s in ("train", "validation", "test")]
        assert not clusters[0] & clusters[1] and not clusters[0] & clusters[2] and not clusters[1] & clusters[2]


def test_real_and_nxn_are_transposes_of_each_other(tiny_run: Path) -> None:
    results = tiny_run / "results" / "tiny"
    transfer = pd.read_csv(results / "similarity" / "NXN" / "seed0.csv", index_col=0)
    validation = pd.read_csv(results / "nxn" / "evaluation_matrix_validation_seed0.csv", index_col=0)
    assert transfer.loc["de-DE", "es-ES"] == validation.loc["es-ES", "de-DE"]


def test_plan_picks_the_most_similar_sources(tiny_run: Path) -> None:
    results = tiny_run / "results" / "tiny"
    plan = json.loads((results / "selection" / "plan.json").read_text())
    entry = plan["average_URIEL_k2_exc/de-DE/0"]
    assert {s["locale"] for s in entry["sources"]} == {"en-US", "es-ES"}
    assert abs(sum(s["weight"] for s in entry["sources"]) - 1) < 1e-12
    similarity = pd.read_csv(results / "similarity" / "URIEL" / "seed0.csv", index_col=0)
    assert entry["sources"][0]["locale"] == similarity.loc["de-DE"].drop("de-DE").idxmax()


def test_details_agree_with_the_matrix(tiny_run: Path) -> None:
    results = tiny_run / "results" / "tiny"
    matrix = pd.read_csv(results / "nxn" / "evaluation_matrix.csv", index_col=0)
    details = pd.read_csv(results / "report" / "merge_details.csv")
    assert len(details) == 4 * len(LOCALES)
    for row in details.itertuples():
        others = matrix[row.target].drop(row.target)
        sources = matrix.loc[row.sources.split(";"), row.target]
        assert abs(row.self - matrix.loc[row.target, row.target]) < 1e-12
        assert abs(row.best_zero_shot_oracle - others.max()) < 1e-12
        assert abs(row.mean_zero_shot - others.mean()) < 1e-12
        assert abs(row.best_source_oracle - sources.max()) < 1e-12
        assert abs(row.effect_best - (row.accuracy - sources.max())) < 1e-12
        assert abs(row.effect_mean - (row.accuracy - sources.mean())) < 1e-12
        assert abs(row.top1 - sources.iloc[0]) < 1e-12
        assert row.low <= row.accuracy <= row.high and row.n >= row.clusters


def test_items_agree_with_the_accuracies(tiny_run: Path) -> None:
    results = tiny_run / "results" / "tiny"
    for target in LOCALES:
        items = read_items(results / "evaluation" / f"{target}.items.parquet")
        examples = pd.read_parquet(results / "data" / target / "test.parquet")
        assert items.ids.tolist() == examples["id"].tolist() and items.clusters.tolist() == examples["cluster"].tolist()
        systems = pd.read_csv(results / "evaluation" / f"{target}.csv", keep_default_na=False)
        means = systems[systems["seed"] == "mean"]
        assert len(items.seeds) == len(means) > 20
        for row in means.itertuples():
            assert abs(items.mean(row.experiment, row.system).mean() - row.accuracy) < 1e-6


def test_every_comparison_is_tested_and_every_claim_checked(tiny_run: Path) -> None:
    report = tiny_run / "results" / "tiny" / "report"
    comparisons = pd.read_csv(report / "statistics.csv", keep_default_na=False)
    assert tuple(comparisons.columns) == comparison.COLUMNS
    assert set(comparisons["verdict"]) == {"one seed: descriptive"} and set(comparisons["scope"]) == {
        "across targets",
        "target",
    }
    facts = json.loads((report / "statistics.json").read_text(encoding="utf-8"))
    assert [row["tier"] for row in facts["primary"]] == ["none", "labelled validation"]
    assert [row["tier"] for row in facts["not_formed"]] == ["unlabelled", "labelled training"]
    assert facts["primary"][0]["experiment"] == "average_URIEL_k2_exc", "the first of the config"
    claims = pd.read_csv(report / "claims.csv")
    assert tuple(claims.columns) == ledger.COLUMNS and len(claims) == len(ledger.read_claims())
    tested = claims[claims["verdict"] != ledger.NOT_TESTED]
    assert "helps_on_average" in set(tested["claim"]) and tested["detail"].str.endswith("(one seed: descriptive)").all()
    assert set(tested["verdict"]) == {"one seed: descriptive"}


def test_recommendations_are_options_of_the_run(tiny_run: Path) -> None:
    results = tiny_run / "results" / "tiny"
    table = pd.read_csv(results / "report" / "recommendations.csv")
    assert tuple(table.columns) == COLUMNS and sorted(table.loc[table["primary"], "target"]) == sorted(LOCALES)
    for row in table.itertuples():
        systems = pd.read_csv(results / "evaluation" / f"{row.target}.csv")
        mean = systems[systems["seed"].astype(str) == "mean"]
        accuracies = mean.loc[(mean["experiment"] == row.what) | (mean["model"] == row.what), "accuracy"]
        assert row.what != row.target and (abs(accuracies - row.expected_accuracy) < 1e-12).any()
    predictor = json.loads((results / "report" / "predictor.json").read_text())
    assert set(predictor["tiers"]) == {"none", "unlabelled", "labelled validation", "labelled training"}
    for tier in predictor["tiers"].values():
        assert tier["descriptive"] and tier["predictor"]["p"] is None and tier["predictor"]["features"]
        assert {"never merge", "always merge", "predictor"} <= {row["policy"] for row in tier["policies"]}
    text = (results / "report" / "report.md").read_text(encoding="utf-8")
    assert "## What to do for each target" in text and "this describes the run and proves nothing" in text


def test_second_run_does_nothing(tiny_copy: Path) -> None:
    assert "Nothing to be done" in succeeded(snakemake(tiny_copy, preset("tiny"), true=True))


def test_report_says_that_one_seed_is_descriptive(tiny_run: Path) -> None:
    text = (tiny_run / "results" / "tiny" / "report" / "report.md").read_text(encoding="utf-8")
    assert "One seed: descriptive" in text and "oracle" in text and "nan" not in text.lower().split()


def test_sidecars_explain_their_artefacts(tiny_run: Path) -> None:
    sidecar = json.loads((tiny_run / "results/tiny/models/de-DE/seed0/model.json").read_text())
    assert sidecar["computed"] == ["de-DE"] and sidecar["settings"]["locale"] == "de-DE"
    assert sidecar["versions"]["torch"].startswith("2.") and sidecar["cost"]["peak_memory_mb"] > 100
    row = json.loads((tiny_run / "results/tiny/nxn/rows/de-DE/seed0/row.json").read_text())
    assert row["computed"] == sorted(LOCALES)


def test_a_locale_added_costs_one_training_and_the_missing_cells(tiny_copy: Path) -> None:
    config = preset("tiny", locales=[*LOCALES, "fr-FR"])
    succeeded(snakemake(tiny_copy, config, "nxn"))
    rows = {p.parts[-3]: json.loads(p.read_text()) for p in (tiny_copy / "results/tiny/nxn/rows").rglob("row.json")}
    assert {name: len(row["computed"]) for name, row in rows.items()} == dict.fromkeys(LOCALES, 1) | {"fr-FR": 4}
    models = tiny_copy / "results/tiny/models"
    made = {
        name: json.loads((models / name / "seed0/model.json").read_text())["computed"] for name in config["locales"]
    }
    assert all(made.values())  # the three old sidecars were not touched: their jobs did not run again
    assert (models / "de-DE/seed0/model.json").stat().st_mtime < (models / "fr-FR/seed0/model.json").stat().st_mtime - 5


def test_results_removed_come_back_from_the_cache(tiny_copy: Path) -> None:
    results = tiny_copy / "results/tiny"
    before, made = (results / "nxn/evaluation_matrix.csv").read_bytes(), costs(results)
    for folder in ("models", "nxn", "merge"):
        shutil.rmtree(results / folder)
    succeeded(snakemake(tiny_copy, preset("tiny")))
    assert (results / "nxn/evaluation_matrix.csv").read_bytes() == before
    sidecars = [
        json.loads(p.read_text()) for p in results.rglob("seed0/*.json") if p.name in {"model.json", "row.json"}
    ]
    assert not any(s.get("computed") for s in sidecars)
    assert costs(results) == made, "the report states what making the results took, not what looking them up took"


def costs(results: Path) -> list[str]:
    """Return the rows of the report's cost table whose results can be looked up."""
    report = (results / "report/report.md").read_text(encoding="utf-8")
    section = report.split("\n## What it cost\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if re.match(r"\| (finetune|row|merge) +\|", line)]
    assert len(rows) == 3
    return rows


def test_two_seeds_are_averaged(tiny_copy: Path) -> None:
    succeeded(snakemake(tiny_copy, preset("tiny", seeds=[0, 1])))
    nxn = tiny_copy / "results/tiny/nxn"
    mean, *seeds = (pd.read_csv(nxn / f"evaluation_matrix{s}.csv", index_col=0) for s in ("", "_seed0", "_seed1"))
    assert ((seeds[0] + seeds[1]) / 2 - mean).abs().to_numpy().max() < 1e-12
    systems = pd.read_csv(tiny_copy / "results/tiny/evaluation/de-DE.csv")
    own = systems[systems["system"] == "self"].set_index("seed")["accuracy"]
    assert abs(own["mean"] - (own["0"] + own["1"]) / 2) < 1e-12
    assert "One seed" not in (tiny_copy / "results/tiny/report/report.md").read_text(encoding="utf-8")
