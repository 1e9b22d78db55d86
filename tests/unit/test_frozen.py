"""Lower layers that stay as they are: computed once per sentence, with the values of a whole pass."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.lookup import recording
from workflow_scripts.evaluation.scoring import StatesCache
from workflow_scripts.models.checkpoints import TaskVector, Vocabulary, load_model, set_task_vector
from workflow_scripts.models.predict import check_freezable, frozen_layers, on_states, predict, states_of
from workflow_scripts.models.tokens import tokenise
from workflow_scripts.models.training import finetune
from workflow_scripts.study.config import Finetune

TEXTS = [f"{a} {b}" for a in ("licht", "musik", "turn the light off") for b in ("an", "aus", "morgen", "now")]
LAYER = "bert.encoder.layer.{}.output.dense.weight"


@pytest.fixture(scope="module")
def vocabulary_and_texts(tiny_base):
    encoded = tokenise(AutoTokenizer.from_pretrained(tiny_base), TEXTS, 32)
    vocabulary = Vocabulary.of(AutoTokenizer.from_pretrained(tiny_base), encoded)
    return vocabulary, [vocabulary.encode(text) for text in encoded]


@pytest.fixture
def model(tiny_base, vocabulary_and_texts):
    return load_model(tiny_base, vocabulary_and_texts[0])


def test_the_layers_above_give_the_values_of_the_whole(model, vocabulary_and_texts):
    _, texts = vocabulary_and_texts
    whole = predict(model, texts, 64)
    before = dict(model.named_parameters())
    with on_states(model, 1, [states_of(model, 1, texts[:5], 64), states_of(model, 1, texts[5:], 64)]) as (groups, pad):
        assert [len(group) for group in groups] == [5, 7] and pad == 0
        np.testing.assert_allclose(predict(model, [*groups[0], *groups[1]], 64), whole, atol=1e-6)
    assert dict(model.named_parameters()).keys() == before.keys(), "the model is whole again"
    assert np.array_equal(predict(model, texts, 64), whole)


def test_padding_changes_nothing(model, vocabulary_and_texts):
    _, texts = vocabulary_and_texts
    with on_states(model, 1, [states_of(model, 1, texts, 64)]) as ((group,), pad), torch.inference_mode():
        short = torch.tensor([group[0]])
        padded = torch.tensor([[*group[0], pad, pad]])
        mask = torch.tensor([[1] * len(group[0]) + [0, 0]])
        alone, beside = model(input_ids=short).logits, model(input_ids=padded, attention_mask=mask).logits
    torch.testing.assert_close(alone, beside)


@pytest.mark.parametrize(
    ("changed", "layers"),
    [
        ([LAYER.format(1), "classifier.weight"], 1),
        ([LAYER.format(0), LAYER.format(1)], 0),
        ([LAYER.format(1), "bert.embeddings.LayerNorm.weight"], 0),
        (["classifier.weight"], 0),  # nothing is known of a model without a layer of its own
    ],
)
def test_a_task_vector_tells_which_layers_it_leaves_alone(model, changed, layers):
    assert frozen_layers(TaskVector({name: torch.ones(1) for name in changed}, {}), model) == layers


def test_changed_token_embeddings_leave_no_layer_alone(model):
    rows = {"bert.embeddings.word_embeddings.weight": (torch.tensor([3]), torch.ones(1, 8))}
    assert frozen_layers(TaskVector({LAYER.format(1): torch.ones(1)}, rows), model) == 0


def table(count):
    words = {0: ["licht", "lampe"], 1: ["musik", "lied"], 2: ["wetter", "regen"]}
    rows = [(f"{w[i % 2]} {'an' * (i % 3)}", k) for k, w in words.items() for i in range(count)]
    return pd.DataFrame([{"id": str(i), "text": t, "label": k, "cluster": str(i)} for i, (t, k) in enumerate(rows)])


def test_training_leaves_frozen_layers_alone_and_moves_the_others(tiny_base, tmp_path, vocabulary_and_texts):
    settings = Finetune(learning_rate=3e-3, epochs=8, min_steps=1, batch_size=4, freeze_layers=1).model_dump()
    trained = finetune(tiny_base, table(8), table(3), settings, 0, tmp_path)
    names = set(trained.task_vector.dense)
    assert {LAYER.format(1), "classifier.weight"} <= names and trained.task_vector.rows == {}
    assert not any(".layer.0." in name or "embeddings" in name for name in names)
    held_out = table(3)
    encoded = tokenise(AutoTokenizer.from_pretrained(tiny_base), held_out["text"], 32)
    vocabulary = Vocabulary.of(AutoTokenizer.from_pretrained(tiny_base), encoded)
    model = load_model(tiny_base, vocabulary)
    set_task_vector(model, tiny_base, vocabulary, trained.task_vector)
    logits = predict(model, [vocabulary.encode(text) for text in encoded], 64)
    assert (logits.argmax(1) == held_out["label"]).mean() == trained.history["best_validation_accuracy"] > 0.5


def test_a_training_resumes_on_states(tiny_base, tmp_path):
    settings = Finetune(learning_rate=3e-3, epochs=4, min_steps=1, batch_size=4, freeze_layers=1).model_dump()
    whole = finetune(tiny_base, table(8), table(3), settings, 0, tmp_path / "whole")
    again = finetune(tiny_base, table(8), table(3), settings, 0, tmp_path / "whole")  # from its last checkpoint
    assert again.history["steps"] == whole.history["steps"]
    assert all(torch.equal(again.task_vector.dense[n], delta) for n, delta in whole.task_vector.dense.items())


def test_states_are_made_once_and_verified(model, vocabulary_and_texts, tmp_path, monkeypatch):
    scoring = {"evaluation": {"max_length": 32, "batch_tokens": 64}, "code": "c", "cache": str(tmp_path)}
    tables = {"first": vocabulary_and_texts[1][:5], "second": vocabulary_and_texts[1][5:]}
    with recording():
        made = StatesCache(scoring, "base", tables).get(model, 1, "second")
    assert len(list(tmp_path.glob("states/*/*.safetensors"))) == 2, "all tables at once"
    monkeypatch.setattr("workflow_scripts.evaluation.scoring.states_of", None)
    for one, other in zip(StatesCache(scoring, "base", tables).get(model, 1, "second"), made, strict=True):
        assert np.array_equal(one, other)
    monkeypatch.undo()
    for path in tmp_path.glob("states/*/*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    again = StatesCache(scoring, "base", tables).get(model, 1, "second")
    assert all(np.array_equal(one, other) for one, other in zip(again, made, strict=True)), (
        "damaged ones are made again"
    )


def test_what_cannot_be_frozen_is_said(model):
    with pytest.raises(XlmergeError, match="the encoder has 2 layers"):
        check_freezable(model, 2)
    with torch.device("meta"):
        other = DistilBertForSequenceClassification(DistilBertConfig(n_layers=2, dim=8, n_heads=2, hidden_dim=8))
    with pytest.raises(XlmergeError, match="lower layers of a 'distilbert' encoder"):
        check_freezable(other, 1)
    with pytest.raises(ValueError, match="freeze_embeddings"):
        Finetune(freeze_layers=1, freeze_embeddings=False)
