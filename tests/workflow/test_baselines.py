"""Baselines that cost merges or trainings, and ensembles, through the whole workflow with two seeds."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import shared, snakemake, succeeded
from tests.dataset import LOCALES, local_config, write_dataset
from workflow_scripts.evaluation.packs import read_pack

CONFIG = local_config(
    LOCALES,
    seeds=[0, 1],
    baselines=["average_all", "seed_soup", "shrunk_top1", "few_shot"],
    few_shot={"steps": 12, "sizes": [2, 1000, "all"]},
    ablations=[
        {"name": "all", "fixed": {"method": "average", "num_languages": 2}},
        {"name": "one", "fixed": {"method": "average", "num_languages": 2, "locales": ["de-DE"], "joint": True}},
    ],
)
NAME = "average_URIEL_k2_exc"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    def make(directory: Path) -> None:
        write_dataset(directory / "data", LOCALES)
        succeeded(snakemake(directory, CONFIG))
        assert "Nothing to be done" in succeeded(snakemake(directory, CONFIG))

    yield from shared(tmp_path_factory, "baselines", make)


@pytest.fixture
def results(finished: Path) -> Path:
    return finished / "results/own"


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


def trainings(results: Path, target: str, seed: int) -> dict:
    return json.loads((results / f"trained/{target}/seed{seed}/trainings.json").read_text(encoding="utf-8"))


def test_few_shot_starts_from_the_best_source_and_the_base(results: Path) -> None:
    for target in LOCALES:
        matrix = pd.read_csv(results / "nxn/evaluation_matrix_validation_seed1.csv", index_col=0)
        best = matrix[target].drop(target).sort_index().idxmax()
        found = trainings(results, target, 1)
        assert found["few_shot"]["start"] == [best, 1] and found["few_shot_base"]["start"] is None
        for training in (found["few_shot"], found["few_shot_base"]):
            assert (training["locales"], training["split"]) == ([target], "validation")
            assert "best_validation_accuracy" not in training["history"], "there is nothing left to judge by"
            assert training["history"]["steps"] == 12
        assert found["few_shot"]["model"] != found["few_shot_base"]["model"]


def test_few_shot_merge_starts_from_the_merge_that_is_chosen_on_validation_data(results: Path) -> None:
    summary = pd.read_csv(results / "report/cross_lingual_summary.csv", index_col="target")
    for target in LOCALES:
        found = trainings(results, target, 0)
        assert found["few_shot_merge"]["merge"] == summary.loc[target, "chosen_on_validation"] == NAME
        assert found["few_shot_merge"]["history"]["steps"] == 12
        assert len({found[name]["model"] for name in ("few_shot", "few_shot_base", "few_shot_merge")}) == 3


def test_the_curve_has_the_numbers_of_sentences_that_a_target_has(results: Path) -> None:
    for target in LOCALES:
        validation = len(pd.read_parquet(results / f"data/{target}/validation.parquet"))
        found = {name: training.get("sentences") for name, training in trainings(results, target, 0).items()}
        curve = {"few_shot_n2": 2, "few_shot": validation, "few_shot_merge": validation}
        assert found.items() >= curve.items() and "few_shot_n1000" not in found
        log = (results / f"logs/train_baselines/{target}-seed0.log").read_text(encoding="utf-8")
        assert f"{target} has no few_shot_n1000: it has only {validation} labelled sentences" in log
        table = pd.read_csv(results / f"evaluation/{target}.csv", keep_default_na=False)
        means = table[table["seed"] == "mean"].set_index("system")["labelled_sentences"]
        assert {name: float(means[name]) for name in curve} == curve


def test_joint_trainings_take_the_steps_of_one_source_or_of_all(results: Path) -> None:
    found = trainings(results, "de-DE", 0)
    one, both = (found[f"{name} of {NAME}"] for name in ("joint_one", "joint_all"))
    assert one["locales"] == both["locales"] == ["en-US", "es-ES"]
    own = json.loads((results / "models/en-US/seed0/training.json").read_text(encoding="utf-8"))
    assert (one["history"]["steps"], both["history"]["steps"]) == (own["steps"], 2 * own["steps"])
    assert not any(name.startswith("joint") for name in trainings(results, "en-US", 0)), "only one block asked for it"


def test_scores_of_trained_baselines_are_those_of_their_models(results: Path) -> None:
    table = pd.read_csv(results / "evaluation/de-DE.csv", keep_default_na=False)
    labels = pd.read_parquet(results / "data/de-DE/test.parquet")["label"].to_numpy()
    for name, system in ((f"joint_all of {NAME}", "joint_all"), ("few_shot", "few_shot")):
        pack = read_pack(results / "trained/de-DE/seed0/test.safetensors", name)
        row = table[(table["system"] == system) & (table["seed"] == "0")]
        assert row["accuracy"].astype(float).item() == pytest.approx((pack.predictions == labels).mean())
        assert row["accuracy_validation"].item() == ""


def test_the_advice_says_what_training_on_the_labels_reaches(results: Path) -> None:
    advice = pd.read_csv(results / "report/recommendations.csv")
    known = advice["tier"] == "labelled validation"
    assert advice.loc[~known, "few_shot_accuracy"].isna().all()
    for row in advice[known].itertuples():
        table = pd.read_csv(results / f"evaluation/{row.target}.csv", keep_default_na=False)
        found = table[(table["system"] == "few_shot") & (table["seed"] == "mean")].iloc[0]
        assert row.few_shot_accuracy == pytest.approx(float(found["accuracy"]))
        assert row.few_shot_low <= row.few_shot_accuracy <= row.few_shot_high


def test_the_tables_hold_them_all(results: Path) -> None:
    details = pd.read_csv(results / "report/merge_details.csv")
    columns = ["average_all", "seed_soup_k2", "shrunk_top1", "ensemble_soft", "ensemble_weighted_majority", "top1"]
    columns += ["few_shot", "few_shot_base", "few_shot_merge"]
    assert details[details["seed"] == 0][columns].notna().all(axis=None)
    targets = pd.read_csv(results / "report/cross_lingual_summary.csv")
    assert targets[["average_all", "seed_soup_k2", "seed_soup_k2_low"]].notna().all(axis=None)
    report = (results / "report/report.md").read_text(encoding="utf-8")
    assert "`seed_soup_k2`" in report and "− ensemble" in report
    assert "`few_shot`" in report and "joint_all" in report
    html = (results / "report/report.html").read_text(encoding="utf-8")
    assert "fine-tuned on them reaches" in html and "trained on the same labels" in html
    summary = (results / "report/summary.txt").read_text(encoding="utf-8")
    assert "the chosen merge − that: " in " ".join(summary.split())
    assert "the base model, fine-tuned on the target" in html
    assert details.set_index("target")["joint_all"].notna().to_dict() == {t: t == "de-DE" for t in LOCALES}
