"""The smoke preset, end to end on the real encoder: plausible results, and a second run that does nothing."""

from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import preset, snakemake, succeeded

pytestmark = pytest.mark.real_encoder


def test_smoke_run(tmp_path: Path) -> None:
    config = preset("smoke")
    succeeded(snakemake(tmp_path, config))
    results = tmp_path / "results" / "smoke"
    matrix = pd.read_csv(results / "nxn" / "evaluation_matrix.csv", index_col=0)
    own = pd.Series({name: matrix.loc[name, name] for name in config["locales"]})
    others = (matrix.to_numpy().sum() - own.sum()) / (matrix.size - len(own))
    assert own.mean() > 0.7, "a fine-tuned model should know its own language"
    assert 1.5 / len(config["labels"]) < others < own.mean(), "transfer should beat chance, not the own model"
    details = pd.read_csv(results / "report" / "merge_details.csv")
    assert len(details) == 16 and details["accuracy"].mean() > 1.5 / len(config["labels"]), "a merge should beat chance"
    for name in ("key_performance_comparison", "merge_improvement_analysis", "zero_shot_comparison", "nxn_heatmap"):
        assert (results / "report" / f"{name}.png").stat().st_size > 10_000
    assert "Nothing to be done" in succeeded(snakemake(tmp_path, config))
