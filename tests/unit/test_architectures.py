"""Every kind of encoder through training, a row of the matrix, merges, measurements and export, with exact checks."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.unit.architectures import ENCODERS, WORDS, write_encoder
from workflow_scripts.checkpoints.conversion import export
from workflow_scripts.core.digests import read_digest, write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.lookup import recording
from workflow_scripts.core.registry import load
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.evaluation.packs import read_pack
from workflow_scripts.jobs import build_base, evaluate_row, finetune_model, merge_models
from workflow_scripts.merging.measuring import ModelText
from workflow_scripts.merging.pieces import Layout
from workflow_scripts.models.checkpoints import (
    Vocabulary,
    load_model,
    load_task_vector,
    save_task_vector,
    set_task_vector,
    skeleton,
    task_vector_of,
)
from workflow_scripts.models.predict import predict
from workflow_scripts.models.tokens import tokenise
from workflow_scripts.study.config import Finetune

LABELS = ["lights", "music", "weather"]
LOCALES = ["de-DE", "fr-FR"]
EVALUATION = {"batch_tokens": 64, "max_length": 32}
METHODS = {"average": {}, "ties": {}, "tsv_m": {}, "layer_swap": {"middle_from": "all", "outer": "ties", "bottom": 1}}


def examples(seed: int, count: int, words: Sequence[str]) -> pd.DataFrame:
    """Sentences of one to five words; those of the first third of the words say the intent."""
    draw = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        label = i % 3
        text = [words[3 * int(draw.integers(4)) + label], *draw.choice(words[12:], draw.integers(5))]
        rows.append((" ".join(text), label))
    table = pd.DataFrame(rows, columns=["text", "label"])
    return table.assign(id=[f"{seed}-{i}" for i in range(count)], cluster=table["text"])


@dataclass(frozen=True)
class Study:
    """Two locales' models of one encoder, a row of each, their merges for the first locale."""

    folder: Path
    base: Path
    facts: dict[str, Any]
    connections: list[Any]

    def model(self, locale: str) -> Path:
        return self.folder / locale / "model.safetensors"

    def table(self, locale: str, split: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / locale / f"{split}.parquet")


def files(folder: Path, **names: str) -> dict[str, str]:
    return {key: str(folder / name) for key, name in names.items()}


@pytest.fixture(scope="module", params=list(ENCODERS))
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    folder = tmp_path_factory.mktemp(request.param)
    torch.set_num_threads(1)
    source = write_encoder(request.param, folder / "encoder")
    base = files(folder, model="base", digest="base.digest")
    settings = {"base": {"name": str(source), "revision": None, "head_seed": 0}, "labels": LABELS}
    build_base.main({}, base, settings, 1)
    own = (WORDS[12:30], WORDS[20:])  # the second locale has words that the first has not
    for seed, (locale, words) in enumerate(zip(LOCALES, own, strict=True)):
        write_tables(folder / locale, seed, [*WORDS[:12], *words])
    common = {"base": base["model"], "base_digest": base["digest"]}
    connections: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.getaddrinfo", lambda *address, **_: connections.append(address) or [])
        for locale in LOCALES:
            train_and_score(folder, locale, common)
        facts = merge_both(folder, common)
    yield Study(folder, Path(base["model"]), facts, connections)


def write_tables(folder: Path, seed: int, words: list[str]) -> None:
    folder.mkdir()
    for split, count in (("train", 96), ("validation", 18), ("test", 15)):
        table = examples(10 * seed + count, count, words)
        write_examples(table, folder / f"{split}.parquet")
        write_digest(folder / f"{split}.digest", examples_digest(table))


def evaluation_files(folder: Path, locales: list[str]) -> dict[str, list[str]]:
    kinds = {"tables": "parquet", "digests": "digest"}
    return {
        f"{split}_{kind}": [str(folder / locale / f"{split}.{end}") for locale in locales]
        for split in ("test", "validation")
        for kind, end in kinds.items()
    }


def train_and_score(folder: Path, locale: str, common: dict[str, str]) -> None:
    tune = Finetune(
        learning_rate=3e-3, epochs=6, min_steps=1, batch_size=8, max_length=32, freeze_embeddings=False
    ).model_dump()
    own, model = folder / locale, {"model": "model.safetensors"}
    data = files(own, train="train.parquet", train_digest="train.digest")
    data |= files(own, validation="validation.parquet", validation_digest="validation.digest")
    settings = {
        "finetune": tune,
        "retries": 0,
        "locale": locale,
        "seed": 0,
        "code": "c",
        "cache": str(folder / "cache"),
    }
    outputs = files(own, **model, digest="model.digest", training="training.json")
    finetune_model.main({**common, **data}, outputs, settings, 1)
    inputs = {**common, **files(own, **model, model_digest="model.digest"), **evaluation_files(folder, LOCALES)}
    row = {"locales": LOCALES, "locale": locale, "seed": 0, "scoring": scoring(folder)}
    evaluate_row.main(
        inputs, files(own, test="test.logits", validation="val", cells="csv", digest="row.digest"), row, 1
    )


def scoring(folder: Path) -> dict[str, Any]:
    return {"evaluation": EVALUATION, "code": "c", "cache": str(folder / "cache")}


def merge_both(folder: Path, common: dict[str, str]) -> dict[str, Any]:
    models = [[locale, 0] for locale in LOCALES]
    entry = {"sources": LOCALES, "models": models, "weights": [0.5, 0.5]}
    merges = {name: {"method": name, "parameters": p, **entry} for name, p in METHODS.items()}
    inputs = {
        **common,
        **evaluation_files(folder, LOCALES[:1]),
        "models": [str(folder / s / "model.safetensors") for s in LOCALES],
        "model_digests": [str(folder / s / "model.digest") for s in LOCALES],
    }
    settings = {"target": LOCALES[0], "seed": 0, "models": models, "merges": merges, "scoring": scoring(folder)}
    names = {"test": "merge.test", "validation": "merge.val", "facts": "merge.json", "digest": "merge.digest"}
    outputs = files(folder, **names, failures="failures.json")
    with recording() as record:
        merge_models.main(inputs, outputs, {**settings, "codes": dict.fromkeys(merges, "c")}, 1)
    return record.facts()


def whole_model(folder: Path) -> Any:
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return model.eval()


def padded_logits(folder: Path, texts: list[str]) -> np.ndarray:
    """Return logits as any user of transformers gets them: batches padded by the tokenizer, masked."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), whole_model(folder)
    with torch.inference_mode():
        return model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()


def test_a_compact_vocabulary_is_bit_equal_to_the_full_model(study):
    tokenizer = AutoTokenizer.from_pretrained(study.base)
    encoded = tokenise(tokenizer, [*study.table("de-DE", "test")["text"], ""], 32)
    vocabulary = Vocabulary.of(tokenizer, encoded)
    assert len(vocabulary.ids) < len(tokenizer)
    expected = predict(whole_model(study.base), encoded, 64)
    found = predict(load_model(study.base, vocabulary), [vocabulary.encode(t) for t in encoded], 64)
    assert len(np.unique(expected.round(4), axis=0)) > 10, "all sentences look alike"
    assert found.tobytes() == expected.tobytes()


def test_a_models_logits_do_not_depend_on_padding(study):
    table = study.table("de-DE", "test")
    tokenizer = AutoTokenizer.from_pretrained(study.base)
    ours = predict(whole_model(study.base), tokenise(tokenizer, table["text"], 32), 64)
    np.testing.assert_allclose(padded_logits(study.base, table["text"].tolist()), ours, atol=1e-4)


@pytest.mark.parametrize("precision", ["medium", "bf16"])
def test_fast_number_formats_work_and_leave_no_trace(study, precision):
    tokenizer, model = AutoTokenizer.from_pretrained(study.base), whole_model(study.base)
    encoded = tokenise(tokenizer, study.table("de-DE", "train")["text"], 32)
    exact = predict(model, encoded, 64)
    fast = predict(model, encoded, 64, precision)
    np.testing.assert_allclose(fast, exact, atol=0.05 * np.ptp(exact))
    assert (fast.argmax(1) == exact.argmax(1)).mean() > 0.95
    assert precision == "medium" or not np.array_equal(fast, exact)
    assert predict(model, encoded, 64).tobytes() == exact.tobytes()


def test_training_learns_and_its_task_vector_survives_a_round_trip(study, tmp_path):
    vector = load_task_vector(study.model("de-DE"), read_digest(study.folder / "base.digest"))
    names = {n for n, _ in skeleton(study.base).named_parameters()}
    assert {*vector.dense, *vector.rows} <= names
    assert any(n in Layout.of(skeleton(study.base)).head for n in vector.dense)
    (rows, values), *rest = vector.rows.values()
    assert not rest and values.ne(0).any(1).all()
    save_task_vector(vector, tmp_path / "again", "float32", {"base": "b"})
    again = load_task_vector(tmp_path / "again", "b")
    assert all(torch.equal(again.dense[n], d) for n, d in vector.dense.items())
    tokenizer = AutoTokenizer.from_pretrained(study.base)
    vocabulary = Vocabulary.of(tokenizer, [rows.tolist()])
    model = load_model(study.base, vocabulary)
    set_task_vector(model, study.base, vocabulary, vector)
    taken = task_vector_of(model, study.base, vocabulary)
    for name, delta in vector.dense.items():
        torch.testing.assert_close(taken.dense[name], delta, rtol=0, atol=1e-6)
    assert torch.equal(next(iter(taken.rows.values()))[0], rows)


def test_a_row_says_what_the_exported_model_predicts(study, tmp_path):
    card = {"name": "m", "what": "w", "facts": {}, "sources": [], "scores": [{"a": 1}], "run": "r", "base": "b"}
    export(study.model("fr-FR"), study.base, tmp_path / "out", {**card, "base_digest": "d"})
    for locale in LOCALES:
        stored = read_pack(study.folder / "fr-FR" / "test.logits", locale)
        found = padded_logits(tmp_path / "out", study.table(locale, "test")["text"].tolist())
        np.testing.assert_allclose(found, stored.logits, atol=5e-3 * np.abs(found).max())
        assert (found.argmax(1) == stored.predictions).all()
    assert read_pack(study.folder / "fr-FR" / "test.logits", "fr-FR").accuracy > 0.5


def test_merges_change_encoder_and_head_and_are_scored(study):
    assert len(study.facts["computed"]) == len(METHODS)
    scores = {name: read_pack(study.folder / "merge.test", name) for name in METHODS}
    assert len({s.digest() for s in scores.values()}) == len(METHODS)
    layout = Layout.of(skeleton(study.base))
    assert layout.layers == 2 and {layout.layer(n) for n in layout.shapes} == {None, 0, 1}
    assert {"embedding", "encoder", "head"} == {layout.part(n) for n in layout.shapes}
    facts = json.loads((study.folder / "merge.json").read_text())["average"]
    assert all(facts[part]["norm"] > 0 for part in ("embedding", "encoder", "head"))


@pytest.mark.parametrize("measurement", ["fisher", "gram"])
def test_measurements_are_made(study, measurement):
    vector = load_task_vector(study.model("de-DE"), read_digest(study.folder / "base.digest"))
    table = study.table("de-DE", "train")
    subject = ModelText(study.base, vector, table["text"].tolist(), table["label"].tolist(), 32, seed=0)
    found = load("model measurement", measurement)
    values = getattr(found, measurement)(subject)
    assert values and all(torch.isfinite(v).all() for v in values.values())
    assert any(v.ne(0).any() for v in values.values())


def test_sentences_beyond_the_encoders_positions_are_refused(study):
    tokenizer, model = AutoTokenizer.from_pretrained(study.base), whole_model(study.base)
    long = " ".join(WORDS * 2)
    if model.config.model_type in {"deberta-v2", "modernbert"}:  # relative and rotary positions
        assert np.isfinite(predict(model, tokenise(tokenizer, [long], 64), 64)).all()
        return
    (tokens,) = tokenise(tokenizer, [long], 32)
    assert len(tokens) == 32 and np.isfinite(predict(model, [tokens], 64)).all(), "the last position is used"
    with pytest.raises(XlmergeError, match=r"max_length.*33.*at most 32"):
        tokenise(tokenizer, ["kaba"], 33)


def test_only_the_base_may_need_a_network(study):
    assert study.connections == []
