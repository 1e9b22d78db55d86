"""An older study's numbers beside a run's: which run, which experiment, and every quantity worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.findings.older_studies import FOLDER, STUDIES, read_reference, reference_of
from workflow_scripts.findings.reference_comparison import (
    COLUMNS,
    NO_EXPERIMENT,
    NO_TARGET,
    UNKNOWN,
    reference_comparison,
)
from workflow_scripts.languages.locales import all_locales
from workflow_scripts.results.run_results import Results

NAME = "massive_xlm_roberta_base"
ACCURACIES = {  # self, best zero-shot, mean zero-shot, similarity, average
    "cy-GB": (0.8, 0.4, 0.3, 0.5, 0.3),
    "tl-PH": (0.8, 0.5, 0.3, 0.4, 0.6),
    "sw-KE": (0.8, 0.6, 0.36, 0.5, 0.6),
}
SYSTEMS = (("self", ""), ("best_zero_shot", ""), ("mean_zero_shot", ""), ("merge", "a"), ("merge", "b"))
BEST, MEAN = "zero-shot (best other model)", "zero-shot (mean of the other models)"


def results(**changes: object) -> Results:
    rows = [
        {"target": t, "system": system, "experiment": e, "seed": "mean", "accuracy": a, "low": a - 0.1, "high": a + 0.1}
        for t, values in ACCURACIES.items()
        for (system, e), a in zip(SYSTEMS, values, strict=True)
    ]
    chosen = {"similarity_type": "URIEL", "selector": "sinkhorn", "num_languages": 5, "include_target": False}
    experiments = {
        "other": {"method": "similarity", **chosen, "num_languages": 3},
        "a": {"method": "similarity", **chosen},
        "b": {"method": "average", **chosen},
    }
    experiments |= changes.get("experiments", {})  # type: ignore[operator]
    matrix = pd.DataFrame()
    settings = {"locales": list(ACCURACIES)}
    return Results(pd.DataFrame(rows), {}, experiments, matrix, matrix, {}, settings)


@pytest.fixture
def table() -> pd.DataFrame:
    return reference_comparison(results(), read_reference(NAME))


def row(table: pd.DataFrame, quantity: str, **keys: str) -> pd.Series:
    found = table[table["quantity"].str.startswith(quantity)]
    for key, value in keys.items():
        found = found[found[key] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_all_studies_are_named() -> None:
    assert sorted(STUDIES) == sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_only_the_same_data_and_base_are_compared() -> None:
    assert reference_of("massive", "xlm-roberta-base") == NAME == reference_of("massive", "FacebookAI/xlm-roberta-base")
    assert reference_of("massive", "xlm-roberta-large") is None
    assert reference_of("home_assistant", "xlm-roberta-base") is None


def test_the_reported_numbers_agree_with_each_other() -> None:
    reference = read_reference(NAME)
    named = {*reference["difference"], *reference["zero_shot"], *reference["zero_shot_to_self"]}
    assert named <= set(all_locales())
    assert round(reference["improved"] / reference["targets"], 3) == 0.756, "as the study says in words"
    for target, ratio in reference["zero_shot_to_self"].items():
        assert 0.8 < reference["zero_shot"][target] / ratio < 0.9, f"{target}: not a plausible self accuracy"


def test_means_over_targets(table: pd.DataFrame) -> None:
    assert list(table.columns) == COLUMNS
    for name, expected in (("mean self", 0.8), (f"mean {BEST}", 0.5), (f"mean {MEAN}", 0.32)):
        found = row(table, name)
        assert np.isclose(found["this_run"], expected) and found["targets"] == 3
    assert np.isclose(row(table, "mean accuracy", method="similarity")["this_run"], 1.4 / 3)
    assert np.isclose(row(table, "mean accuracy", method="average")["this_run"], 0.5)
    found = row(table, "mean self")
    assert np.isclose(found["difference"], 0.8 - 0.8466) and found["older_study"] == 0.8466


def test_targets_improved_by_the_better_of_two_merges(table: pd.DataFrame) -> None:
    share = "share of targets where the better merge (chosen on test data) beats"
    found = row(table, f"{share} {BEST}")
    assert np.isclose(found["this_run"], 2 / 3), "cy-GB by similarity, tl-PH by average; equal is not better"
    assert row(table, f"{share} {MEAN}")["this_run"] == 1
    assert np.isclose(found["older_study"], 34 / 45)


def test_single_targets_beside_either_zero_shot(table: pd.DataFrame) -> None:
    for zero_shot, differences, ratio, accuracy in ((BEST, (0.1, 0.1), 0.75, 0.6), (MEAN, (0.2, 0.3), 0.45, 0.36)):
        for (target, method), difference in zip(
            (("cy-GB", "similarity"), ("tl-PH", "average")), differences, strict=True
        ):
            found = row(table, f"merge − {zero_shot}", target=target, method=method)
            assert np.isclose(found["this_run"], difference) and found["note"] == UNKNOWN
        assert np.isclose(row(table, f"{zero_shot} / self", target="sw-KE")["this_run"], ratio)
        single = table[(table["quantity"] == zero_shot) & (table["target"] == "sw-KE")].iloc[0]
        assert np.allclose(single[["this_run", "low", "high"]].astype(float), accuracy + np.array([0, -0.1, 0.1]))


def test_what_the_run_does_not_have_is_empty_and_says_why(table: pd.DataFrame) -> None:
    missing = row(table, f"merge − {BEST}", target="ka-GE")
    assert np.isnan(missing["this_run"]) and missing["note"] == NO_TARGET and missing["older_study"] == 0.032
    without = results(experiments={"b": {**results().experiments["b"], "selector": "top_k"}})
    table = reference_comparison(without, read_reference(NAME))
    for quantity, keys in (
        ("mean accuracy", {"method": "average"}),
        (f"share of targets where the better merge (chosen on test data) beats {BEST}", {}),
        (f"merge − {BEST}", {"target": "tl-PH"}),
    ):
        found = row(table, quantity, **keys)
        assert np.isnan(found["this_run"]) and found["note"] == NO_EXPERIMENT
    assert row(table, "mean accuracy", method="similarity")["targets"] == 3
