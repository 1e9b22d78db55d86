"""Exported models load as any Hugging Face model and predict what was scored; their cards say what they are."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.conftest import copied, preset, shared, snakemake, succeeded
from workflow_scripts.evaluation.packs import read_pack

EXPERIMENT = "ties_NXN_k2_exc"
TARGETS = ["results/tiny/export/de-DE/seed0", f"results/tiny/export/{EXPERIMENT}/de-DE/seed0"]


@pytest.fixture(scope="session")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a finished tiny run and two exported models; do not change it."""

    def make(folder: Path) -> None:
        shutil.copytree(tiny_run, folder, symlinks=True, dirs_exist_ok=True)
        succeeded(snakemake(folder, preset("tiny"), *TARGETS))

    yield from shared(tmp_path_factory, "exported", make)


def logits(folder: Path, texts: list[str]) -> np.ndarray:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        return np.concatenate([model.eval()(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in texts])


@pytest.mark.parametrize(
    ("folder", "pack"),
    list(zip(TARGETS, [("nxn/rows/de-DE/seed0", "de-DE"), ("merge/de-DE/seed0", EXPERIMENT)], strict=True)),
)
def test_an_exported_model_predicts_what_was_scored(exported: Path, folder: str, pack: tuple[str, str]) -> None:
    results = exported / "results/tiny"
    table = pd.read_parquet(results / "data/de-DE/test.parquet")
    stored = read_pack(results / pack[0] / "test.safetensors", pack[1])
    found = logits(exported / folder, table["text"].tolist())
    assert (found.argmax(1) == stored.predictions).all()
    np.testing.assert_allclose(found, stored.logits, atol=5e-3)


def test_labels_are_the_runs(exported: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(exported / TARGETS[1])
    assert list(model.config.id2label.values()) == preset("tiny")["labels"]


def test_the_card_says_what_the_model_is(exported: Path) -> None:
    card = (exported / TARGETS[1] / "README.md").read_text(encoding="utf-8")
    for words in (
        "Merged for de-DE by `ties`",
        "| density | 0.2 |",
        "| en-US | 0.",
        "| es-ES | 0.",
        "best_zero_shot_val",
        "run `tiny`",
    ):
        assert words in card, words
    own = (exported / TARGETS[0] / "README.md").read_text(encoding="utf-8")
    assert "Fine-tuned on de-DE." in own and "| learning_rate | 0.003 |" in own and own.count(" % | ") == 3


def test_a_second_export_does_nothing(exported: Path, tmp_path: Path) -> None:
    assert "Nothing to be done" in succeeded(snakemake(copied(exported, tmp_path), preset("tiny"), *TARGETS))
