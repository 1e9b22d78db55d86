"""Task vectors on disk, and the training that makes them."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from workflow_scripts.core.digests import digest_of_files, write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.base import build_base
from workflow_scripts.models.checkpoints import (
    TaskVector,
    Vocabulary,
    base_digest,
    embedding_name,
    load_model,
    load_task_vector,
    save_task_vector,
    set_task_vector,
    skeleton,
    task_vector_of,
)
from workflow_scripts.models.collapse import check_finite, check_learned
from workflow_scripts.models.convergence import Convergence
from workflow_scripts.models.length import length_of
from workflow_scripts.models.tokens import tokenise
from workflow_scripts.models.training import Collator, LocaleTrainer, finetune, training_arguments
from workflow_scripts.study.config import Finetune

EMBEDDING = "bert.embeddings.word_embeddings.weight"
VOCABULARY = Vocabulary(np.array([0, 1, 2, 3, 10, 20, 30]), 1)


def moved_model(base):
    """A model that moved in one matrix, one bias and two embedding rows."""
    model = load_model(base, VOCABULARY)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name in ("bert.encoder.layer.0.output.dense.weight", "classifier.bias"):
            model.get_parameter(name).add_(torch.randn(model.get_parameter(name).shape, generator=generator))
        model.get_parameter(EMBEDDING)[[4, 6]] += 0.5
    return model


@pytest.fixture
def vector(tiny_base):
    return task_vector_of(moved_model(tiny_base), tiny_base, VOCABULARY)


def stored(vector, folder, storage="float32", base="b"):
    path = folder / "model.safetensors"
    write_digest(folder / "model.digest", save_task_vector(vector, path, storage, {"base": base}))
    return path


# --- task vectors


def test_only_what_moved_is_in_a_task_vector(vector):
    assert set(vector.dense) == {"bert.encoder.layer.0.output.dense.weight", "classifier.bias"}
    rows, values = vector.rows[EMBEDDING]
    assert rows.tolist() == [10, 30]  # original ids of compact rows 4 and 6
    torch.testing.assert_close(values, torch.full((2, 32), 0.5))


def test_an_untouched_model_is_an_empty_task_vector(tiny_base, tmp_path):
    vector = task_vector_of(load_model(tiny_base, VOCABULARY), tiny_base, VOCABULARY)
    assert (vector.dense, vector.rows) == ({}, {})
    assert load_task_vector(stored(vector, tmp_path), "b") == vector


def test_a_round_trip_through_a_file_is_exact(vector, tmp_path):
    found = load_task_vector(stored(vector, tmp_path), "b", tmp_path / "model.digest")
    assert all(torch.equal(found.dense[n], vector.dense[n]) for n in {*found.dense, *vector.dense})
    assert all(torch.equal(a, b) for a, b in zip(found.rows[EMBEDDING], vector.rows[EMBEDDING], strict=True))


def test_base_plus_task_vector_is_the_model_on_any_vocabulary(tiny_base, vector):
    trained = moved_model(tiny_base).state_dict()
    other = Vocabulary(np.array([0, 1, 2, 3, 5, 10, 40]), 1)  # with 10, without 30
    model = load_model(tiny_base, other)
    for _ in range(2):  # setting it again must not add it twice
        set_task_vector(model, tiny_base, other, vector)
    found = model.state_dict()
    for name in set(trained) - {EMBEDDING}:
        torch.testing.assert_close(found[name], trained[name], rtol=0, atol=1e-6)
    full = AutoModelForSequenceClassification.from_pretrained(tiny_base).get_input_embeddings().weight.detach()
    expected = full[other.ids].clone()
    expected[5] += 0.5
    torch.testing.assert_close(found[EMBEDDING], expected, rtol=0, atol=1e-6)


def test_a_task_vector_leaves_with_the_next_one(tiny_base, vector):
    model = load_model(tiny_base, VOCABULARY)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    set_task_vector(model, tiny_base, VOCABULARY, vector)
    assert not torch.equal(model.state_dict()["classifier.bias"], before["classifier.bias"])
    set_task_vector(model, tiny_base, VOCABULARY, TaskVector({}, {}))
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


@pytest.mark.parametrize(("storage", "digits"), [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_half_precision_storage_rounds_the_difference_only(tiny_base, vector, tmp_path, storage, digits):
    path = stored(vector, tmp_path, storage)
    assert path.stat().st_size < stored(vector, tmp_path / "full").stat().st_size * 0.7
    delta, exact = load_task_vector(path, "b").dense["classifier.bias"], vector.dense["classifier.bias"]
    torch.testing.assert_close(delta.float(), exact, rtol=digits, atol=0)
    model = load_model(tiny_base, VOCABULARY)
    set_task_vector(model, tiny_base, VOCABULARY, load_task_vector(path, "b"))
    assert model.classifier.bias.dtype == torch.float32


def test_another_base_is_refused(vector, tmp_path):
    path = stored(vector, tmp_path, base="one")
    with pytest.raises(XlmergeError, match=r"model\.safetensors is a task vector against the base one, not two"):
        load_task_vector(path, "two")


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    os.truncate(path, 0)


@pytest.mark.parametrize("damage", [flip, cut, empty])
def test_a_damaged_file_is_named(vector, tmp_path, damage):
    path = stored(vector, tmp_path)
    damage(path)
    with pytest.raises(XlmergeError, match=r"model\.safetensors is damaged or was replaced"):
        load_task_vector(path, "b", tmp_path / "model.digest")


@pytest.mark.parametrize("damage", [cut, empty])
def test_a_file_cut_short_is_named_even_without_a_digest(vector, tmp_path, damage):
    path = stored(vector, tmp_path)
    damage(path)
    with pytest.raises(XlmergeError, match=r"model\.safetensors cannot be read"):
        load_task_vector(path, "b")


def test_weights_that_are_not_finite_are_refused(tiny_base):
    model = load_model(tiny_base, VOCABULARY)
    with torch.no_grad():
        model.classifier.bias[1] = float("nan")
    with pytest.raises(XlmergeError, match=r"classifier\.bias is not finite"):
        task_vector_of(model, tiny_base, VOCABULARY)


# --- θ₀


def test_the_head_depends_on_its_seed_and_on_nothing_else(tiny_base, tmp_path):
    encoder = str(tiny_base.parent / "encoder")
    labels = json.loads((tiny_base / "config.json").read_text())["id2label"]
    torch.manual_seed(12345)
    for seed in (0, 1):
        build_base(encoder, None, list(labels.values()), seed, tmp_path / str(seed))
    assert base_digest(tmp_path / "0") == base_digest(tiny_base) != base_digest(tmp_path / "1")
    one, two = (AutoModelForSequenceClassification.from_pretrained(tmp_path / s).state_dict() for s in "01")
    moved = {name for name in one if not torch.equal(one[name], two[name])}
    assert moved == {"classifier.weight", "bert.pooler.dense.weight"}


def test_a_skeleton_has_the_names_but_no_weights(tiny_base):
    model = skeleton(tiny_base)
    assert embedding_name(model) == EMBEDDING
    assert all(p.is_meta for p in model.parameters())


@pytest.mark.parametrize("missing", ["weight", "folder"])
def test_a_base_that_cannot_be_loaded_whole_is_an_error(tiny_base, tmp_path, missing):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "encoder"
    if missing == "weight":
        model = AutoModelForSequenceClassification.from_pretrained(tiny_base)
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
        state = load_file(folder / "model.safetensors")
        del state["bert.encoder.layer.1.output.dense.weight"]
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(XlmergeError, match=r"layer\.1\.output\.dense\.weight" if missing == "weight" else "encoder"):
        build_base(str(folder), None, ["a", "b", "c"], 0, tmp_path / "base")
    assert not (tmp_path / "base").exists()


# --- training

WORDS = {0: ["licht", "lampe"], 1: ["musik", "lied"], 2: ["wetter", "regen"]}
ONLY_IN_VALIDATION = "morgen"


def examples(count, extra=""):
    rows = [(f"{words[i % 2]} {'an' * (i % 3)} {extra}".strip(), k) for k, words in WORDS.items() for i in range(count)]
    return pd.DataFrame([{"id": str(i), "text": t, "label": k, "cluster": str(i)} for i, (t, k) in enumerate(rows)])


def tune(base, scratch, **changes):
    settings = {"learning_rate": 3e-3, "epochs": 4, "min_steps": 1, "batch_size": 4, "precision": "float32", **changes}
    train, validation = examples(8), examples(3, ONLY_IN_VALIDATION)
    trained = finetune(base, train, validation, Finetune(**settings).model_dump(), 0, scratch)
    tokenizer = AutoTokenizer.from_pretrained(base)
    seen = {t for tokens in tokenise(tokenizer, train["text"], 128) for t in tokens}
    held_out = {t for tokens in tokenise(tokenizer, validation["text"], 128) for t in tokens} - seen
    return trained, seen, held_out


@pytest.fixture(scope="module")
def unfrozen(tiny_base, tmp_path_factory):
    return tune(tiny_base, tmp_path_factory.mktemp("run"), freeze_embeddings=False, weight_decay=0.5)


def test_training_moves_the_rows_of_seen_tokens_only(unfrozen):
    trained, seen, held_out = unfrozen
    moved = set(trained.task_vector.rows[EMBEDDING][0].tolist())
    assert held_out, "the validation data bring no token of their own"
    assert moved == seen
    assert "classifier.weight" in trained.task_vector.dense


def test_frozen_embeddings_do_not_move(tiny_base, tmp_path):
    trained, *_ = tune(tiny_base, tmp_path, freeze_embeddings=True, weight_decay=0.5)
    assert trained.task_vector.rows == {}
    assert "bert.encoder.layer.1.output.dense.weight" in trained.task_vector.dense


def test_the_same_seed_gives_the_same_task_vector(tiny_base, tmp_path, unfrozen):
    again, *_ = tune(tiny_base, tmp_path, freeze_embeddings=False, weight_decay=0.5)
    first = unfrozen[0].task_vector
    assert all(torch.equal(again.task_vector.dense[name], delta) for name, delta in first.dense.items())
    assert torch.equal(again.task_vector.rows[EMBEDDING][1], first.rows[EMBEDDING][1])


def test_history_says_how_it_went(unfrozen):
    history = unfrozen[0].history
    assert history["steps"] == 24  # 4 epochs of 24 sentences in batches of 4
    losses = {e["step"]: e["eval_loss"] for e in history["log"] if "eval_loss" in e}
    assert list(losses) == [6, 12, 18, 24], "once an epoch"
    assert history["best_step"] == min(losses, key=losses.__getitem__)
    assert history["majority_accuracy"] == pytest.approx(1 / 3)
    (at_best,) = (e["eval_accuracy"] for e in history["log"] if e["step"] == history["best_step"] and "eval_loss" in e)
    assert history["best_validation_accuracy"] == at_best
    assert history["best_validation_accuracy"] > 0.5
    json.dumps(history, allow_nan=False)


def test_the_reported_accuracy_is_the_task_vectors(tiny_base, unfrozen):
    trained = unfrozen[0]
    validation = examples(3, ONLY_IN_VALIDATION)
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    encoded = tokenise(tokenizer, validation["text"], 128)
    vocabulary = Vocabulary.of(tokenizer, encoded)
    model = load_model(tiny_base, vocabulary)
    set_task_vector(model, tiny_base, vocabulary, trained.task_vector)
    with torch.inference_mode():
        predictions = [int(model(input_ids=torch.tensor([vocabulary.encode(t)])).logits.argmax()) for t in encoded]
    assert np.mean(np.array(predictions) == validation["label"]) == trained.history["best_validation_accuracy"]


def test_weight_decay_spares_every_embedding(tiny_base, tmp_path):
    settings = Finetune(weight_decay=0.5, precision="float32").model_dump()
    trainer = LocaleTrainer(
        model=load_model(tiny_base, VOCABULARY),
        args=training_arguments(settings, 0, tmp_path, length_of(settings, 24)),
        eval_dataset=[],
        convergence=Convergence(patience=0, least=1),
    )
    decays = trainer.get_decay_parameter_names(trainer.model)
    assert "bert.encoder.layer.0.output.dense.weight" in decays
    assert "classifier.weight" in decays
    assert not any("embeddings" in name or "LayerNorm" in name or name.endswith("bias") for name in decays)


def test_batches_are_padded_to_their_longest_sentence():
    batch = Collator(9)([{"input_ids": [5, 6, 7], "labels": 1}, {"input_ids": [8], "labels": 0}])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]


def history(**changes):
    log = [{"epoch": 1.0, "loss": 0.5}, {"epoch": 1.0, "eval_loss": 0.4, "eval_accuracy": 0.7}]
    return {"log": log, "best_validation_accuracy": 0.7, "majority_accuracy": 0.4, **changes}


def test_a_training_that_learned_passes():
    check_finite(history())
    check_learned(history())


@pytest.mark.parametrize("key", ["loss", "eval_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error(key, value):
    with pytest.raises(XlmergeError, match=r"diverged.*learning_rate"):
        check_finite(history(log=[*history()["log"], {"epoch": 2.0, key: value}]))


def test_a_training_without_any_loss_is_an_error():
    with pytest.raises(XlmergeError, match="diverged"):
        check_finite(history(log=[]))


@pytest.mark.parametrize("best", [0.4, 0.1, None])
def test_no_better_than_the_majority_class_is_an_error(best):
    with pytest.raises(XlmergeError, match=r"learned nothing.*majority class \(0\.400\)"):
        check_learned(history(best_validation_accuracy=best))


def test_a_collapse_after_the_best_epoch_is_an_error():
    later = {"epoch": 2.0, "eval_loss": 4.1, "eval_accuracy": 0.4}
    with pytest.raises(XlmergeError, match=r"collapsed.*from 0\.700 to 0\.400"):
        check_learned(history(log=[*history()["log"], later]))


def test_a_learning_rate_far_too_high_is_reported(tiny_base, tmp_path):
    with pytest.raises(XlmergeError, match="learning_rate"):
        tune(tiny_base, tmp_path, learning_rate=1e4, max_grad_norm=1e9, warmup=0)


def test_the_digest_is_that_of_the_file(vector, tmp_path):
    path = stored(vector, tmp_path)
    assert (tmp_path / "model.digest").read_text().strip() == digest_of_files(path)
