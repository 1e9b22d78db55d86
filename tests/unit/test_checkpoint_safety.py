"""Full checkpoints as sources: what must be refused, and what an error leaves behind."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.checkpoint_models import (
    LABELS,
    change_config,
    change_state,
    family,
    fine_tune,
    make_model,
    merge,
    refuse,
    state_of,
    task_vector,
    write_model,
    write_tokenizer,
)
from workflow_scripts.checkpoints.merge import merge_checkpoints
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import Step

WEIGHT = "bert.encoder.layer.1.output.dense.weight"


@pytest.fixture
def models(tmp_path):
    return family(tmp_path, count=2)


# --- models that do not belong together


@pytest.mark.parametrize(
    ("key", "value"), [("num_hidden_layers", 3), ("hidden_size", 32), ("vocab_size", 41), ("num_attention_heads", 4)]
)
def test_another_architecture_is_refused(key, value, models, tmp_path):
    shutil.rmtree(models[2])
    write_model(make_model(**{key: value}), models[2])
    refuse(models, tmp_path, rf"architectures differ, {key}: model0 \d+, model1 {value}, the base")


def test_another_model_type_is_refused(models, tmp_path):
    shutil.rmtree(models[2])
    write_model(make_model("xlm-roberta"), models[2])
    refuse(models, tmp_path, "differ, model_type: model0 bert, model1 xlm-roberta")


def test_another_base_architecture_is_refused(models, tmp_path):
    shutil.rmtree(models[0])
    write_model(make_model(intermediate_size=28), models[0])
    refuse(models, tmp_path, "intermediate_size: model0 24, model1 24, the base 28")


def test_a_model_for_another_task_is_refused(models, tmp_path):
    change_config(models[2], architectures=["BertForMaskedLM"])
    refuse(models, tmp_path, "model1 is a BertForMaskedLM")


def test_a_shape_that_its_config_does_not_say_is_named(models, tmp_path):
    change_state(models[2], **{WEIGHT: torch.ones(16, 23)})
    refuse(models, tmp_path, rf"tensor {WEIGHT} has different shapes: model1 \(16, 23\), .*\(16, 24\)")


def test_a_lacking_tensor_is_named(models, tmp_path):
    change_state(models[2], **{WEIGHT: None})
    refuse(models, tmp_path, f"model1 lacks tensor {WEIGHT}")


def test_an_encoder_tensor_that_the_base_lacks_is_named(models, tmp_path):
    change_state(models[0], **{WEIGHT: None})
    refuse(models, tmp_path, f"the base .*lacks tensor {WEIGHT}")


def test_a_tensor_that_only_one_source_has_is_left_out_aloud(models, tmp_path, capsys):
    change_state(models[2], **{"bert.encoder.layer.1.adapter.weight": torch.ones(4)})
    merge(models[1:], models[0], tmp_path / "out")
    text = "model1: not part of a sequence classifier, left out: bert.encoder.layer.1.adapter.weight"
    assert f"warning: {text}" in capsys.readouterr().err
    assert text in json.loads((tmp_path / "out/xlmerge.json").read_text())["notes"]


def test_a_source_that_is_not_merged_has_no_parameters_of_its_own(models, tmp_path):
    step = Step("per_source", {"by_source": {"model7": {"density": 0.5}}}, (0.5, 0.5))
    with pytest.raises(XlmergeError, match=r"per_source: unknown source 'model7'; did you mean"):
        merge_checkpoints(models[1:], models[0], tmp_path / "out", [step])


def test_integers_in_place_of_weights_are_refused(models, tmp_path):
    change_state(models[2], **{WEIGHT: torch.ones(16, 24, dtype=torch.int8)})
    refuse(models, tmp_path, f"tensor {WEIGHT} is stored as I8")


def test_labels_that_differ_are_listed(models, tmp_path):
    change_config(models[2], id2label={"0": "lights", "1": "music", "2": "alarm"})
    refuse(models, tmp_path, "only model0 has weather; only model1 has alarm")


def test_another_number_of_labels_is_listed(models, tmp_path):
    shutil.rmtree(models[2])
    write_model(make_model(labels=[*LABELS, "alarm"]), models[2])
    refuse(models, tmp_path, "only model0 has nothing; only model1 has alarm")


def test_a_label_twice_is_refused(models, tmp_path):
    change_config(models[2], id2label={"0": "music", "1": "music", "2": "lights"})
    refuse(models, tmp_path, "model1 has a label twice: music")


def test_a_task_vector_has_the_labels_of_its_base(models, tmp_path):
    vector = task_vector(models[1], models[0], tmp_path / "v.safetensors")
    change_config(models[2], id2label={"0": "a", "1": "b", "2": "c"})
    refuse([models[0], vector, models[2]], tmp_path, r"labels differ: only model1 has a, b, c; only the base \(and v\)")


def test_labels_of_the_base_that_are_others_are_said(models, tmp_path, capsys):
    expected = merge(models[1:], models[0], tmp_path / "out")
    change_config(models[0], id2label={"0": "x", "1": "y", "2": "z"})
    found = merge(models[1:], models[0], tmp_path / "again")
    assert "the labels of the base's head are not the sources'" in capsys.readouterr().err
    assert all(torch.equal(found[n], t) for n, t in expected.items())


def test_numbered_labels_of_the_base_are_no_reason_to_worry(models, tmp_path, capsys):
    change_config(models[0], id2label={str(i): f"LABEL_{i}" for i in range(3)})
    merge(models[1:], models[0], tmp_path / "out")
    assert "labels" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [("a", "c", "b"), ("a", "b", "x")])
def test_another_vocabulary_is_refused(words, models, tmp_path):
    write_tokenizer(models[2], words)
    refuse(models, tmp_path, r"vocabularies of model0 and model1 differ in 2 tokens \(tokenizer.json\): '[bc]' is")


def test_a_unigram_vocabulary_is_compared_by_position(models, tmp_path):
    for folder, pieces in ((models[1], ["a", "b"]), (models[2], ["b", "a"])):
        vocabulary = {"model": {"type": "Unigram", "vocab": [[p, -1.0] for p in pieces]}}
        (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    (models[0] / "tokenizer.json").unlink()
    refuse(models, tmp_path, "differ in 2 tokens .* 'a' is 0 in model0 and 1 in model1")


def test_an_added_token_counts(models, tmp_path):
    content = json.loads((models[2] / "tokenizer.json").read_text()) | {"added_tokens": [{"content": "<x>", "id": 3}]}
    (models[2] / "tokenizer.json").write_text(json.dumps(content))
    refuse(models, tmp_path, "differ in 1 tokens .*'<x>' is None in model0 and 3 in model1")


def test_a_tokenizer_file_may_differ_in_what_does_not_number_tokens(models, tmp_path):
    content = json.loads((models[2] / "tokenizer.json").read_text()) | {"truncation": {"max_length": 9}}
    (models[2] / "tokenizer.json").write_text(json.dumps(content, indent=3))
    merge(models[1:], models[0], tmp_path / "out")


def test_vocabulary_files_are_compared_where_there_is_no_tokenizer_json(models, tmp_path):
    for folder, text in zip(models, ("a\nb\n", "a\nb\n", "b\na\n"), strict=True):
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text(text)
    refuse(models, tmp_path, r"vocabularies of model0 and model1 differ \(vocab.txt\)")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", [WEIGHT, "bert.embeddings.word_embeddings.weight", "classifier.bias"])
@pytest.mark.parametrize("which", [1, 0])
def test_values_that_are_not_finite_name_tensor_and_model(which, name, bad, models, tmp_path):
    value = state_of(models[which])[name]
    value.view(-1)[-1] = bad
    change_state(models[which], **{name: value})
    owner = "the base .*base" if which == 0 else "model0"
    refuse(models, tmp_path, f"tensor {name} is not finite in {owner}")


def test_a_task_vector_of_another_base_is_refused(models, tmp_path):
    vector = task_vector(models[1], models[0], tmp_path / "v.safetensors")
    change_state(models[0], **{WEIGHT: state_of(models[0])[WEIGHT] + 1})
    refuse([models[0], vector, models[2]], tmp_path, r"v\.safetensors is a task vector against the base")


def test_a_shard_of_the_base_belongs_to_its_identity(tmp_path):
    base, one, _ = family(tmp_path, count=2, max_shard_size="8KB")
    vector = task_vector(one, base, tmp_path / "v.safetensors")
    shard = min(base.glob("model-*.safetensors"))
    save_file({n: t + 1 for n, t in load_file(shard).items()}, shard)
    refuse([base, vector], tmp_path, "is a task vector against the base")


def test_a_task_vector_needs_a_base_with_a_head(models, tmp_path):
    vector = task_vector(models[1], models[0], tmp_path / "v.safetensors")
    change_state(models[0], **{"classifier.weight": None})
    refuse([models[0], vector], tmp_path, r"v: task vectors need .* lacks classifier\.weight")
    with pytest.raises(XlmergeError, match=r"needs a θ₀ with a head.*classifier\.weight"):
        merge_checkpoints(models[2:], models[0], tmp_path / "t", [Step("average", {}, (1.0,))], output="task-vector")


def test_a_base_far_away_is_warned_about(tmp_path, capsys):
    base = write_model(make_model(), tmp_path / "base")
    near, far = make_model(), make_model(seed=5)
    fine_tune(near, 1)
    sources = [write_model(near, tmp_path / "near"), write_model(far, tmp_path / "far")]
    merge(sources, base, tmp_path / "out")
    warned = capsys.readouterr().err
    assert "far is far from the base: ‖θ−θ₀‖/‖θ₀‖ is 1." in warned
    assert "near is far" not in warned
    distances = {
        n: s["distance"] for n, s in json.loads((tmp_path / "out/xlmerge.json").read_text())["sources"].items()
    }
    assert 0.01 < distances["near"] < 0.1 < 1 < distances["far"] < 2  # two random models: √2
