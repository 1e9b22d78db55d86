"""Heads from elsewhere, and labels in another order."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.unit.checkpoint_models import (
    LABELS,
    WEIGHTS,
    assert_close,
    assert_same,
    bare,
    change_config,
    change_state,
    family,
    logits_of,
    make_model,
    merge,
    state_of,
    ties_in_torch,
    weighted,
    write_model,
)


def test_a_head_that_the_base_lacks_is_the_weighted_mean(tmp_path):
    base, *sources = family(tmp_path)
    start = bare(base, tmp_path / "bare")
    change_state(start, **{"pooler.dense.weight": None, "pooler.dense.bias": None})
    found = merge(sources, start, tmp_path / "out", "ties", WEIGHTS, parameters={"density": 0.1})
    expected = weighted([state_of(s) for s in sources])
    for name in ("classifier.weight", "classifier.bias", "bert.pooler.dense.weight", "bert.pooler.dense.bias"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-7)
    assert not torch.allclose(found["bert.encoder.layer.0.output.dense.bias"], expected["bert.encoder.layer.0.output.dense.bias"], atol=1e-4)  # fmt: skip
    report = json.loads((tmp_path / "out/xlmerge.json").read_text())
    assert report["head"]["averaged"] == sorted(
        ["bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias", "classifier.weight"]
    )
    logits_of(tmp_path / "out")


@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert"])
def test_only_what_misfits_is_averaged(kind, tmp_path):
    """A base with another number of labels: the head's inner layer is θ₀'s, the output layer a mean."""
    base, *sources = family(tmp_path, kind)
    other = write_model(make_model(kind, labels=["yes", "no"]), tmp_path / "other")
    state = state_of(base) | {n: t for n, t in state_of(other).items() if t.shape != state_of(base)[n].shape}
    save_file(state, other / "model.safetensors", {"format": "pt"})
    found = merge(sources, other, tmp_path / "out", "ties", WEIGHTS, parameters={"trim": "tensor"})
    averaged = json.loads((tmp_path / "out/xlmerge.json").read_text())["head"]["averaged"]
    output = "classifier.out_proj" if kind == "xlm-roberta" else "classifier"
    assert averaged == [f"{output}.bias", f"{output}.weight"]
    expected = ties_in_torch(state_of(base), [state_of(s) for s in sources], WEIGHTS, 0.2)
    expected |= {n: weighted([state_of(s) for s in sources])[n] for n in averaged}
    assert_close(found, expected)


def test_a_head_of_another_task_is_not_the_start_of_this_one(tmp_path):
    base, *sources = family(tmp_path)
    change_config(base, architectures=["BertForTokenClassification"])  # has classifier.weight as well
    found = merge(sources, base, tmp_path / "out", "ties", parameters={"density": 0.1})
    expected = weighted([state_of(s) for s in sources], [1 / 3] * 3)
    torch.testing.assert_close(found["classifier.weight"], expected["classifier.weight"], rtol=1e-6, atol=1e-7)


def test_head_mean_averages_where_the_base_has_a_head(tmp_path, capsys):
    base, *sources = family(tmp_path)
    expected = weighted([state_of(s) for s in sources])
    plain = merge(sources, base, tmp_path / "a", "ties", WEIGHTS)
    mean = merge(sources, base, tmp_path / "b", "ties", WEIGHTS, head="mean")
    torch.testing.assert_close(mean["classifier.weight"], expected["classifier.weight"], rtol=1e-6, atol=1e-7)
    assert (plain["classifier.weight"] - expected["classifier.weight"]).abs().max() > 1e-3
    report = json.loads((tmp_path / "b/xlmerge.json").read_text())
    steps = [(s["method"], s["tensors"]) for s in report["steps"]]
    assert steps == [("ties", len(expected) - 2), ("similarity", 2)]
    cosines = np.array(report["head"]["cosines"])
    heads = [torch.cat([state_of(s)[f"classifier.{p}"].flatten() for p in ("bias", "weight")]) for s in sources]
    expected = [[float(torch.cosine_similarity(a, b, 0)) for b in heads] for a in heads]
    np.testing.assert_allclose(cosines, expected, atol=1e-6)
    assert "little in common" not in capsys.readouterr().err


def test_heads_with_little_in_common_are_warned_about(tmp_path, capsys):
    base, one, two, _ = family(tmp_path)
    for seed, folder in enumerate((one, two)):
        generator = torch.Generator().manual_seed(seed)
        change_state(folder, **{"classifier.weight": torch.randn(3, 16, generator=generator)})
    merge([one, two], bare(base, tmp_path / "bare"), tmp_path / "out")
    assert "heads have little in common" in capsys.readouterr().err
    assert any("little in common" in n for n in json.loads((tmp_path / "out/xlmerge.json").read_text())["notes"])


def test_labels_in_another_order_are_aligned(tmp_path, capsys):
    base, one, two, three = family(tmp_path)
    expected = merge([one, two, three], base, tmp_path / "out", "ties", WEIGHTS)
    order = [2, 0, 1]
    state = state_of(two)
    change_state(two, **{n: state[n][order].contiguous() for n in ("classifier.weight", "classifier.bias")})
    change_config(two, id2label={str(i): LABELS[o] for i, o in enumerate(order)})
    assert_same(merge([one, two, three], base, tmp_path / "again", "ties", WEIGHTS), expected)
    assert "labels of model1 are in another order" in capsys.readouterr().err
    assert_same(merge([two, one, three], base, tmp_path / "two_first", "ties", [0.3, 0.5, 0.2]), expected)
    config = json.loads((tmp_path / "two_first/config.json").read_text())
    assert [config["id2label"][str(i)] for i in range(3)] == LABELS
    assert config["label2id"] == {label: i for i, label in enumerate(LABELS)}


def test_without_a_head_in_the_base_the_first_source_sets_the_order(tmp_path):
    base, one, two, _ = family(tmp_path)
    order = [2, 0, 1]
    state = state_of(one)
    change_state(one, **{n: state[n][order].contiguous() for n in ("classifier.weight", "classifier.bias")})
    change_config(one, id2label={str(i): LABELS[o] for i, o in enumerate(order)})
    found = merge([one, two], bare(base, tmp_path / "bare"), tmp_path / "out")
    expected = (state["classifier.weight"] + state_of(two)["classifier.weight"])[order] / 2
    torch.testing.assert_close(found["classifier.weight"], expected, rtol=1e-6, atol=1e-7)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert [config["id2label"][str(i)] for i in range(3)] == [LABELS[o] for o in order]
