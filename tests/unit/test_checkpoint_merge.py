"""Full checkpoints as sources and output: the numbers."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.checkpoint_models import (
    CONFIGS,
    WEIGHTS,
    assert_close,
    assert_same,
    bare,
    change_state,
    changed_rows,
    family,
    logits_of,
    merge,
    state_of,
    task_vector,
    ties_in_torch,
    weighted,
)
from tests.unit.helpers import piece_size
from workflow_scripts.checkpoints.architecture import Architecture, load_config
from workflow_scripts.checkpoints.files import BaseWeights, Checkpoint
from workflow_scripts.checkpoints.output import encode
from workflow_scripts.core.errors import XlmergeError

SPARSE = [
    ("average", {}),
    ("similarity", {}),
    ("ties", {}),
    ("ties", {"trim": "tensor", "count": "all"}),
    ("ties", {"count": "all"}),
    ("dare_ties", {}),
    ("della", {}),
    ("breadcrumbs", {}),
    ("consensus", {}),
]


# --- against arithmetic in torch


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_weighted_average_is_the_models_average(kind, tmp_path):
    base, *sources = family(tmp_path, kind)
    found = merge(sources, base, tmp_path / "out", "similarity", WEIGHTS)
    expected = weighted([state_of(s) for s in sources])
    assert_close(found, expected)
    torch.testing.assert_close(logits_of(tmp_path / "out"), logits_of(sources[0], expected), rtol=0, atol=1e-5)
    assert (logits_of(tmp_path / "out") - logits_of(sources[0])).abs().max() > 1e-3, "the sources do not differ"


def test_ties_on_checkpoints_is_ties(tmp_path):
    base, *sources = family(tmp_path, "xlm-roberta")
    found = merge(sources, base, tmp_path / "out", "ties", WEIGHTS, parameters={"trim": "tensor", "density": 0.3})
    expected = ties_in_torch(state_of(base), [state_of(s) for s in sources], WEIGHTS, 0.3)
    assert_close(found, expected)
    torch.testing.assert_close(logits_of(tmp_path / "out"), logits_of(sources[0], expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["slerp", "karcher"])
def test_merging_on_the_sphere_of_whole_weights_uses_the_base(method, tmp_path):
    base, *sources = family(tmp_path, count=2)
    found = merge(sources, base, tmp_path / "out", method, parameters={"space": "weights"})
    one, two = (state_of(s) for s in sources)
    name = "bert.encoder.layer.0.output.dense.weight"
    a, b = one[name].double(), two[name].double()
    omega = torch.acos((a * b).sum() / a.norm() / b.norm())
    direction = torch.sin(omega / 2) * (a / a.norm() + b / b.norm()) / torch.sin(omega)
    expected = direction * (a.norm() + b.norm()) / 2
    if torch.cos(omega) > 0.9995:
        expected = (a + b) / 2
    torch.testing.assert_close(found[name], expected.float(), rtol=0, atol=1e-5)


# --- how models are stored does not matter


def test_shards_read_like_one_file(tmp_path):
    whole, split = family(tmp_path / "a"), family(tmp_path / "b", max_shard_size="8KB")
    assert len(list(split[1].glob("model-*.safetensors"))) > 2
    merge(whole[1:], whole[0], tmp_path / "one", "ties", WEIGHTS)
    merge(split[1:], split[0], tmp_path / "two", "ties", WEIGHTS)
    assert (tmp_path / "one/model.safetensors").read_bytes() == (tmp_path / "two/model.safetensors").read_bytes()


@pytest.mark.parametrize(("method", "parameters"), SPARSE)
def test_sparse_task_vectors_and_whole_checkpoints_merge_to_the_same_bits(method, parameters, tmp_path):
    base, *sources = family(tmp_path)
    vectors = [task_vector(s, base, tmp_path / f"{s.name}.safetensors") for s in sources]
    names = ["x", "y", "z"]
    weights = None if method == "average" else WEIGHTS
    found = [
        merge(s, base, tmp_path / f"out{i}", method, weights, names=names, parameters=parameters)
        for i, s in enumerate([sources, vectors, [sources[0], vectors[1], vectors[2]], [vectors[0], *sources[1:]]])
    ]
    assert not torch.equal(found[0]["classifier.weight"], state_of(base)["classifier.weight"])
    for other in found[1:]:
        assert_same(other, found[0])


def test_rows_that_nobody_changed_are_the_bases(tmp_path):
    base, *sources = family(tmp_path)
    vectors = [task_vector(s, base, tmp_path / f"{s.name}.safetensors") for s in sources]
    name = "bert.embeddings.word_embeddings.weight"
    found, start = merge(vectors, base, tmp_path / "out")[name], state_of(base)[name]
    changed = (found != start).any(1).nonzero().flatten().tolist()
    assert changed == sorted({row for i in range(3) for row in changed_rows(i)})
    expected = sum(state_of(s)[name] for s in sources) / 3
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("size", [5, 64])  # tests/unit/test_methods_properties.py has smaller ones
def test_any_piece_size_gives_the_same_bits(size, tmp_path):
    base, *sources = family(tmp_path)
    expected = merge(sources, base, tmp_path / "one", "ties", WEIGHTS)
    with piece_size(size):
        assert_same(merge(sources, base, tmp_path / "two", "ties", WEIGHTS), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sources_are_summed_in_float32(dtype, tmp_path):
    half = family(tmp_path / "half", dtype=dtype)
    found = merge(half[1:], half[0], tmp_path / "out", "similarity", WEIGHTS)
    assert_close(found, weighted([state_of(s) for s in half[1:]]))
    assert {t.dtype for t in load_file(tmp_path / "out/model.safetensors").values()} == {torch.float32}


def test_sources_may_be_stored_differently(tmp_path):
    base, one, two, three = family(tmp_path)
    states = [state_of(s) for s in (one, two, three)]
    for folder, dtype, i in ((one, torch.float16, 0), (two, torch.bfloat16, 1), (three, torch.float64, 2)):
        change_state(folder, **{n: t.to(dtype) for n, t in states[i].items()})
        states[i] = state_of(folder)
    found = merge([one, two, three], base, tmp_path / "out", "similarity", WEIGHTS)
    assert_close(found, weighted(states))


@pytest.mark.parametrize(("dtype", "kind"), [("float16", torch.float16), ("bfloat16", torch.bfloat16)])
def test_the_output_is_rounded_once(dtype, kind, tmp_path):
    base, *sources = family(tmp_path)
    exact = merge(sources, base, tmp_path / "exact")
    merge(sources, base, tmp_path / "half", dtype=dtype)
    found = load_file(tmp_path / "half/model.safetensors")
    assert all(torch.equal(found[n], t.to(kind)) for n, t in exact.items())
    assert json.loads((tmp_path / "half/config.json").read_text())["dtype"] == dtype
    logits_of(tmp_path / "half")


def test_the_output_is_stored_like_the_base_unless_asked(tmp_path):
    base, *sources = family(tmp_path)
    change_state(base, **{n: t.to(torch.bfloat16) for n, t in state_of(base).items()})
    merge(sources, base, tmp_path / "out")
    assert {t.dtype for t in load_file(tmp_path / "out/model.safetensors").values()} == {torch.bfloat16}


@pytest.mark.parametrize(("code", "kind"), [("F16", torch.float16), ("BF16", torch.bfloat16)])
def test_rounding_to_half_precision_is_torchs(code, kind):
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.normal(size=5000), [0, -0.0, 1e-8, -3e-41, 1.00390625, 1.01171875, 65504]])
    values = values.astype(np.float32)
    found = encode(values.copy(), code, "t").view(np.int16)
    np.testing.assert_array_equal(found, torch.from_numpy(values).to(kind).view(torch.int16).numpy())


def test_a_value_too_large_for_float16_is_an_error():
    with pytest.raises(XlmergeError, match=r"tensor t .*float16.*bfloat16"):
        encode(np.array([1, 1e6], np.float32), "F16", "t")


# --- names


def test_a_bare_encoder_gets_its_prefix_and_its_other_heads_are_dropped(tmp_path):
    base, *sources = family(tmp_path)
    extra = {"embeddings.position_ids": torch.arange(5)[None], "cls.predictions.bias": torch.ones(40)}
    start = bare(base, tmp_path / "bare", **extra)
    found = merge(sources, start, tmp_path / "out", "ties", WEIGHTS, parameters={"trim": "tensor"})
    whole = merge(sources, base, tmp_path / "whole", "ties", WEIGHTS, parameters={"trim": "tensor"})
    assert found.keys() == whole.keys()
    for name in whole.keys() - {"classifier.weight", "classifier.bias"}:
        assert torch.equal(found[name], whole[name]), name
    notes = json.loads((tmp_path / "out/xlmerge.json").read_text())["notes"]
    assert any("cls.predictions.bias" in n and "the base" in n for n in notes)


def test_names_of_old_checkpoints_are_understood(tmp_path):
    base, *sources = family(tmp_path)
    expected = merge(sources, base, tmp_path / "out")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = {}
    for name, value in state_of(base).items():
        end = next((o for o in old if name.endswith(o)), None)
        state[name.removesuffix(end) + old[end] if end else name] = value
    save_file(state, base / "model.safetensors", {"format": "pt"})
    assert_same(merge(sources, base, tmp_path / "again"), expected)


# --- θ₀'s pieces


def test_pieces_of_the_base_are_what_is_stored(tmp_path):
    """Also where a longer or shorter piece follows at the same place, or one of another tensor."""
    folder, *_ = family(tmp_path, count=1)
    name, other = "bert.encoder.layer.0.output.dense.weight", "bert.encoder.layer.1.output.dense.weight"
    state = state_of(folder)
    architecture = Architecture.of(load_config(folder))
    checkpoint = Checkpoint(folder, architecture)
    base = BaseWeights(checkpoint, dict(architecture.layout.shapes), frozenset({"classifier.bias"}))
    for tensor, start, count in [(name, 0, 5), (name, 0, 9), (name, 0, 5), (other, 0, 5), (other, 3, 5), (name, 3, 5)]:
        expected = state[tensor].flatten()[start : start + count].tolist()
        assert base.piece(tensor, start, count).tolist() == expected
    assert base.piece("classifier.bias", 0, 3).tolist() == [0, 0, 0]
    base.close()
    with pytest.raises(OSError):
        base.piece(name, 0, 1)
