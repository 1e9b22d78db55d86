"""Trained models by content: the same training is never done twice, and damage is never handed out."""

from pathlib import Path

import pandas as pd
import pytest

from workflow_scripts.core.digests import digest_of_files, read_digest, write_digest
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.jobs import finetune_model
from workflow_scripts.models.checkpoints import base_digest
from workflow_scripts.models.model_cache import FILES, ModelCache
from workflow_scripts.study.config import Finetune

MADE_OF = {"base": "b", "train": "t", "seed": 0}


@pytest.fixture
def stored(tmp_path):
    """A cache with one entry."""
    cache = ModelCache(tmp_path / "cache", MADE_OF)
    cache.folder.mkdir(parents=True)
    (cache.folder / FILES["model"]).write_bytes(b"weights")
    (cache.folder / FILES["training"]).write_text("{}\n")
    write_digest(cache.folder / FILES["digest"], digest_of_files(cache.folder / FILES["model"]))
    return cache


@pytest.fixture
def outputs(tmp_path):
    return {name: str(tmp_path / "out" / file) for name, file in FILES.items()}


def content(outputs):
    return {name: Path(path).read_bytes() for name, path in outputs.items()}


def test_an_empty_cache_has_nothing(tmp_path, outputs):
    assert ModelCache(tmp_path, MADE_OF).restore(outputs) is False
    assert not (tmp_path / "out").exists()


def test_an_entry_is_restored_as_it_is(stored, outputs):
    assert stored.restore(outputs) is True
    assert content(outputs) == {name: (stored.folder / file).read_bytes() for name, file in FILES.items()}
    assert stored.restore(outputs) is True, "over an existing output"


@pytest.mark.parametrize("key", MADE_OF)
def test_everything_it_is_made_of_counts(stored, outputs, tmp_path, key):
    assert ModelCache(tmp_path / "cache", {**MADE_OF, key: "other"}).restore(outputs) is False
    reordered = dict(reversed(MADE_OF.items()))
    assert ModelCache(tmp_path / "cache", reordered).restore(outputs) is True


@pytest.mark.parametrize(
    ("file", "text"), [("model", b"weightz"), ("model", b"weigh"), ("model", b""), ("model", None), ("digest", None)]
)
def test_a_damaged_entry_is_dropped(stored, outputs, capsys, file, text):
    path = stored.folder / FILES[file]
    path.write_bytes(text) if text is not None else path.unlink()
    assert stored.restore(outputs) is False
    assert "dropping a damaged entry" in capsys.readouterr().err
    assert not stored.folder.exists()


def test_an_output_edited_in_place_is_not_restored_again(stored, outputs):
    stored.restore(outputs)
    with open(outputs["model"], "r+b") as handle:  # may be a hard link to the entry
        handle.write(b"W")
    if stored.restore(outputs):
        assert content(outputs)["model"] == b"weights"


def test_the_same_training_is_a_lookup(tiny_base, tmp_path, outputs):
    rows = [(f"{word} {i}", label) for i in range(4) for label, word in enumerate(["licht", "musik", "wetter"])]
    inputs = {"base": str(tiny_base), "base_digest": str(tmp_path / "base.digest")}
    write_digest(inputs["base_digest"], base_digest(tiny_base))
    for split in ("train", "validation"):
        table = pd.DataFrame([{"id": t, "text": t, "label": k, "cluster": t} for t, k in rows])
        inputs |= {split: str(tmp_path / split), f"{split}_digest": str(tmp_path / f"{split}.digest")}
        write_examples(table, inputs[split])
        write_digest(inputs[f"{split}_digest"], examples_digest(table))
    tune = Finetune(learning_rate=3e-3, epochs=4, batch_size=4, precision="float32").model_dump()
    settings = {
        "finetune": tune,
        "retries": 0,
        "locale": "de-DE",
        "seed": 0,
        "code": "c",
        "cache": str(tmp_path / "cache"),
    }
    facts = finetune_model.main(inputs, outputs, settings, 1)
    assert facts["trained"] is True
    first = content(outputs)
    assert read_digest(outputs["digest"]) == digest_of_files(outputs["model"])
    assert facts["making_cost"]["cpu_seconds"] > 0
    assert finetune_model.main(inputs, outputs, settings, 1) == {**facts, "trained": False}
    assert content(outputs) == first
    assert not list((tmp_path / "cache" / "training").iterdir()), "the Trainer's checkpoints are left"
    assert finetune_model.main(inputs, outputs, {**settings, "seed": 1}, 1)["trained"] is True
    assert content(outputs)["model"] != first["model"]
