"""Fast number formats: what they do to a model, when they are allowed, and that one decision holds for a whole run."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

from tests.unit.helpers import write_vector
from workflow_scripts.core.digests import digest_of_files, write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.evaluation import agreement
from workflow_scripts.evaluation.agreement import candidates, decide
from workflow_scripts.evaluation.cells import CellCache, decided_scoring, foreseen_decision, made_decision
from workflow_scripts.jobs import choose_precision
from workflow_scripts.models import predict as predict_module
from workflow_scripts.models.checkpoints import Vocabulary, base_digest, load_model
from workflow_scripts.models.predict import close_calls, number_format, predict
from workflow_scripts.models.tokens import tokenise

TEXTS = [f"{a} {b}" for a in ("licht", "musik", "wetter", "turn the light off") for b in ("an", "aus", "morgen", "now")]


@pytest.fixture(scope="module")
def model_and_texts(tiny_base):
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    encoded = tokenise(tokenizer, TEXTS, 32)
    vocabulary = Vocabulary.of(tokenizer, encoded)
    return load_model(tiny_base, vocabulary), [vocabulary.encode(t) for t in encoded]


# --- number formats


@pytest.mark.parametrize("mode", ["float32", "medium", "bf16"])
@pytest.mark.parametrize("error", [False, True])
def test_a_model_is_what_it_was_afterwards(model_and_texts, mode, error):
    model, _ = model_and_texts
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        with number_format(model, mode):
            if error:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert torch.get_float32_matmul_precision() == "highest"
    after = model.state_dict()
    assert all(torch.equal(after[n], v) and after[n].dtype == v.dtype for n, v in before.items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_bf16_is_for_the_linear_layers_of_the_encoder(model_and_texts):
    model, _ = model_and_texts
    with number_format(model, "bf16"):
        half = {name for name, p in model.named_parameters() if p.dtype == torch.bfloat16}
    linear = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)} - {
        "classifier",
        "bert.pooler.dense",
    }
    assert half == {f"{name}.{part}" for name in linear for part in ("weight", "bias")}


def test_medium_is_torchs_setting(model_and_texts):
    with number_format(model_and_texts[0], "medium"):
        assert torch.get_float32_matmul_precision() == "medium"


def test_shared_layers_come_back(model_and_texts):
    model = torch.nn.Module()
    model.a = model.b = torch.nn.Linear(2, 2)
    model.c = torch.nn.Linear(2, 2)
    model.c.weight = model.a.weight
    model.base_model = model
    before = model.a.weight.detach().clone()
    with number_format(model, "bf16"):
        assert model.c.weight.dtype == torch.bfloat16
    assert torch.equal(model.c.weight, before) and model.a.weight.dtype == torch.float32


def test_close_calls_are_those_within_a_share_of_the_spread():
    share = predict_module.CLOSE
    rows = [[0, 10, 10 - 9 * share], [0, 10, 10 - 11 * share], [5, 5, 5], [-10, 10, 10 - 19 * share], [3, -2, 1]]
    assert close_calls(np.array(rows, np.float32)).tolist() == [0, 2, 3]
    assert close_calls(np.empty((0, 3), np.float32)).tolist() == []


def test_close_calls_are_decided_in_float32(model_and_texts, monkeypatch):
    model, encoded = model_and_texts
    exact = predict(model, encoded, 64)
    chosen = np.array([1, 4, 11])
    monkeypatch.setattr(predict_module, "close_calls", lambda logits: chosen)
    found = predict(model, encoded, 64, "bf16")
    np.testing.assert_allclose(found[chosen], exact[chosen], atol=1e-5)
    others = np.setdiff1d(np.arange(len(encoded)), chosen)
    assert (np.abs(found[others] - exact[others]).max(1) > 1e-5).all(), "nothing was computed in bfloat16"


# --- the decision


def counts(**equal):
    return {mode: {"equal": n, "of": 1000} for mode, n in equal.items()}


@pytest.mark.parametrize(
    ("wanted", "found", "mode"),
    [
        ("auto", counts(bf16=1000, medium=1000), "bf16"),
        ("auto", counts(bf16=999, medium=1000), "bf16"),
        ("auto", counts(bf16=998, medium=1000), "medium"),
        ("auto", counts(bf16=998, medium=998), "float32"),
        ("auto", counts(medium=999), "medium"),
        ("bf16", counts(bf16=999), "bf16"),
        ("medium", counts(medium=1000), "medium"),
    ],
)
def test_the_fastest_format_that_agrees(wanted, found, mode):
    made = decide(wanted, found)
    assert (made["mode"], made["wanted"], made["agreement"]) == (mode, wanted, found)


@pytest.mark.parametrize("wanted", ["bf16", "medium"])
def test_a_format_that_was_wanted_and_does_not_agree_is_an_error(wanted):
    with pytest.raises(XlmergeError, match=rf"precision: {wanted}` changes 2 of 1000 predictions.*float32.*auto"):
        decide(wanted, counts(**{wanted: 998}))


@pytest.mark.parametrize(("hardware", "tried"), [(True, ("bf16", "medium")), (False, ("medium",))])
def test_auto_tries_what_the_hardware_has(monkeypatch, hardware, tried):
    monkeypatch.setattr(agreement, "has_bfloat16", lambda: hardware)
    assert candidates("auto") == tried
    assert candidates("bf16") == ("bf16",)


def test_a_run_in_float32_needs_no_decision(tmp_path):
    assert made_decision({}) == made_decision({"precision": []}) == {"mode": "float32"}
    (tmp_path / "made").write_text('{"mode": "medium"}')
    for files in (str(tmp_path / "made"), [str(tmp_path / "made")]):
        assert made_decision({"precision": files}) == {"mode": "medium"}
    assert foreseen_decision({"precision": ["later"]}, lambda path: None) is None


def test_cells_know_the_format_that_made_them_not_the_one_that_was_asked_for(tmp_path):
    def key(wanted, mode):
        scoring = {"evaluation": {"precision": wanted}, "code": "c", "cache": str(tmp_path)}
        return CellCache(decided_scoring(scoring, {"mode": mode}), "m", "b").entry("data").key

    assert key("auto", "medium") == key("medium", "medium")
    assert len({key("auto", mode) for mode in ("bf16", "medium", "float32")}) == 3


@pytest.fixture
def inputs(tiny_base, tmp_path):
    """Two models that moved only the classifier's bias, two locales' validation sentences."""
    found = {"base": str(tiny_base), "base_digest": str(tmp_path / "base.digest")}
    write_digest(found["base_digest"], base_digest(tiny_base))
    for name, bias in (("a", [0.2, 0, 0]), ("b", [0, 0, 0.4])):
        path = write_vector(tmp_path / f"{name}.safetensors", {"classifier.bias": bias}, base=base_digest(tiny_base))
        write_digest(path.with_suffix(".digest"), digest_of_files(path))
        table = pd.DataFrame({"id": TEXTS, "text": TEXTS, "label": [0] * len(TEXTS), "cluster": TEXTS})
        write_examples(table, tmp_path / f"{name}.parquet")
        write_digest(tmp_path / f"{name}.table", examples_digest(table))
        for key, file in {
            "models": path, "model_digests": path.with_suffix(".digest"),
            "tables": tmp_path / f"{name}.parquet", "table_digests": tmp_path / f"{name}.table",
        }.items():  # fmt: skip
            found.setdefault(key, []).append(str(file))
    return found


def choose(inputs, tmp_path, wanted):
    evaluation = {"batch_tokens": 64, "max_length": 32, "precision": wanted}
    outputs = {"decision": str(tmp_path / "decision.json")}
    scoring = {"evaluation": evaluation, "code": "c", "cache": str(tmp_path / "cache")}
    settings = {"locales": ["de-DE", "en-US"], "scoring": scoring}
    choose_precision.main(inputs, outputs, settings, 1)
    return json.loads((tmp_path / "decision.json").read_text())


def test_every_model_is_tried_on_every_locale(inputs, tmp_path, monkeypatch):
    made = choose(inputs, tmp_path, "medium")
    assert made["agreement"]["medium"]["of"] == 2 * 2 * len(TEXTS)
    monkeypatch.setattr(agreement, "SAMPLE", 5)
    assert choose(inputs, tmp_path, "medium")["agreement"]["medium"]["of"] == 2 * 2 * 5


def test_a_format_that_changes_predictions_is_found_out(inputs, tmp_path, monkeypatch):
    exact = agreement.predict

    def sloppy(model, encoded, batch_tokens, precision="float32"):
        logits = exact(model, encoded, batch_tokens)
        return np.roll(logits, 1, axis=1) if precision == "bf16" else logits

    monkeypatch.setattr(agreement, "predict", sloppy)
    monkeypatch.setattr(agreement, "has_bfloat16", lambda: True)
    assert choose(inputs, tmp_path, "auto")["mode"] == "medium"
    with pytest.raises(XlmergeError, match=r"changes 64 of 64 predictions"):
        choose(inputs, tmp_path, "bf16")
