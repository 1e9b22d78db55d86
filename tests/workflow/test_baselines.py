"""Baselines that cost merges, and ensembles, through the whole workflow with two seeds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import snakemake, succeeded
from tests.dataset import LOCALES, local_config, write_dataset
from workflow_scripts.evaluation.packs import read_pack

CONFIG = local_config(
    LOCALES,
    seeds=[0, 1],
    baselines=["average_all", "seed_soup", "shrunk_top1"],
    ablations=[{"name": "all", "fixed": {"method": "average", "num_languages": 2}}],
)
NAME = "average_URIEL_k2_exc"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("baselines")
    write_dataset(directory / "data", LOCALES)
    succeeded(snakemake(directory, CONFIG))
    assert "Nothing to be done" in succeeded(snakemake(directory, CONFIG))
    return directory / "results/own"


def facts(results: Path, target: str, seed: int) -> dict:
    return json.loads((results / f"merge/{target}/seed{seed}/merges.json").read_text(encoding="utf-8"))


def test_with_two_other_locales_average_all_is_the_average_of_two(results: Path) -> None:
    for target in LOCALES:
        for seed in (0, 1):
            found = facts(results, target, seed)
            assert found["average_all"] == found[NAME], "one merge, made once"


def test_the_soup_is_made_once_of_both_seeds(results: Path) -> None:
    plan = json.loads((results / "selection/plan.json").read_text(encoding="utf-8"))
    for target in LOCALES:
        assert "seed_soup_k2" in facts(results, target, 0) and "seed_soup_k2" not in facts(results, target, 1)
        sources = plan[f"seed_soup_k2/{target}/0"]["sources"]
        assert len({s["locale"] for s in sources}) == 1 and [s["seed"] for s in sources] == [0, 1]
        assert sources[0]["locale"] != target


def test_the_shrunk_source_is_as_long_as_the_merge(results: Path) -> None:
    for target in LOCALES:
        found = facts(results, target, 0)
        merged, shrunk = found[NAME], found[f"shrunk_top1 of {NAME}"]
        norms = [
            sum(f[part]["norm"] ** 2 for part in ("embedding", "encoder", "head")) ** 0.5 for f in (merged, shrunk)
        ]
        assert norms[1] == pytest.approx(norms[0], rel=1e-5) and 0 < shrunk["alpha"] < 1


def test_ensembles_come_from_the_stored_logits_of_the_same_seed(results: Path) -> None:
    table = pd.read_csv(results / "evaluation/de-DE.csv", keep_default_na=False)
    rows = table[(table["system"] == "ensemble_logits") & (table["seed"] == "1")]
    packs = [read_pack(results / f"nxn/rows/{s}/seed1/test.safetensors", "de-DE") for s in ("en-US", "es-ES")]
    labels = pd.read_parquet(results / "data/de-DE/test.parquet")["label"].to_numpy()
    expected = (np.mean([p.logits.astype(float) for p in packs], 0).argmax(1) == labels).mean()
    assert rows["accuracy"].astype(float).item() == pytest.approx(expected)


def test_the_tables_hold_them_all(results: Path) -> None:
    details = pd.read_csv(results / "report/merge_details.csv")
    columns = ["average_all", "seed_soup_k2", "shrunk_top1", "ensemble_soft", "ensemble_weighted_majority", "top1"]
    assert details[details["seed"] == 0][columns].notna().all(axis=None)
    summary = pd.read_csv(results / "report/cross_lingual_summary.csv")
    assert summary[["average_all", "seed_soup_k2", "seed_soup_k2_low"]].notna().all(axis=None)
    report = (results / "report/report.md").read_text(encoding="utf-8")
    assert "`seed_soup_k2`" in report and "− ensemble" in report
