"""The smoke preset, end to end on the real encoder: plausible results, and a second run that does nothing."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.precision import compare
from tests.conftest import preset, snakemake, succeeded

pytestmark = pytest.mark.real_encoder
CONFIG = preset("smoke")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smoke")
    succeeded(snakemake(folder, CONFIG))
    return folder


def test_smoke_run(directory: Path) -> None:
    results = directory / "results" / "smoke"
    matrix = pd.read_csv(results / "nxn" / "evaluation_matrix.csv", index_col=0)
    own = pd.Series({name: matrix.loc[name, name] for name in CONFIG["locales"]})
    others = (matrix.to_numpy().sum() - own.sum()) / (matrix.size - len(own))
    assert own.mean() > 0.7, "a fine-tuned model should know its own language"
    assert 1.5 / len(CONFIG["labels"]) < others < own.mean(), "transfer should beat chance, not the own model"
    details = pd.read_csv(results / "report" / "merge_details.csv")
    assert len(details) == 16 and details["accuracy"].mean() > 1.5 / len(CONFIG["labels"]), "a merge should beat chance"
    for name in ("key_performance_comparison", "merge_improvement_analysis", "zero_shot_comparison", "nxn_heatmap"):
        assert (results / "report" / f"{name}.png").stat().st_size > 10_000


def test_a_second_run_does_nothing(directory: Path) -> None:
    assert "Nothing to be done" in succeeded(snakemake(directory, CONFIG))


def test_half_precision_changes_next_to_nothing_and_rows_nothing_at_all(directory: Path) -> None:
    found = compare(directory / "results" / "smoke")
    assert found["float16"]["predictions"] > 800
    for storage in ("float16", "bfloat16"):
        assert 0 < found[storage]["largest_difference"] < 0.02
        assert found[storage]["changed"] <= 0.001 + 1 / found[storage]["predictions"], "one more, with so few"
    assert found["rows"]["changed"] == found["rows"]["largest_difference"] == 0
