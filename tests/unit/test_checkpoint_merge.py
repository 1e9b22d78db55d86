"""Full checkpoints as sources and output: the numbers."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.checkpoint_models import (
    CONFIGS,
    LABELS,
    change_config,
    change_state,
    changed_rows,
    family,
    fine_tune,
    logits_of,
    make_model,
    merge,
    state_of,
    task_vector,
    write_model,
    write_tokenizer,
)
from tests.unit.helpers import piece_size
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.architecture import Architecture, load_config
from workflow_scripts.merging.checkpoints.files import Base, Checkpoint
from workflow_scripts.merging.checkpoints.merge import merge_checkpoints
from workflow_scripts.merging.checkpoints.output import encode
from workflow_scripts.merging.method import Step
from workflow_scripts.models.base import base_digest
from workflow_scripts.models.checkpoints import load_task_vector

WEIGHTS = [0.5, 0.3, 0.2]
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


def weighted(states, weights=WEIGHTS):
    return {n: sum(w * s[n].double() for w, s in zip(weights, states, strict=True)).float() for n in states[0]}


def assert_close(found, expected, tolerance=2e-7):
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=tolerance, msg=name)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in found:
        assert torch.equal(found[name], expected[name]), name


# --- against arithmetic in torch


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_weighted_average_is_the_models_average(kind, tmp_path):
    base, *sources = family(tmp_path, kind)
    found = merge(sources, base, tmp_path / "out", "similarity", WEIGHTS)
    expected = weighted([state_of(s) for s in sources])
    assert_close(found, expected)
    torch.testing.assert_close(logits_of(tmp_path / "out"), logits_of(sources[0], expected), rtol=0, atol=1e-5)
    assert (logits_of(tmp_path / "out") - logits_of(sources[0])).abs().max() > 1e-3, "the sources do not differ"


def ties_in_torch(base, sources, weights, density):
    """TIES per tensor, on whole weights."""
    merged = {}
    for name, start in base.items():
        taus = torch.stack([(s[name] - start).flatten() for s in sources]).double()
        for tau in taus:
            kept = max(1, int(density * tau.count_nonzero()))
            cut = tau.abs().sort(descending=True).values[kept - 1]
            tau[tau.abs() < cut] = 0
        w = torch.tensor(weights, dtype=torch.float64)[:, None]
        sign = torch.where((w * taus).sum(0) < 0, -1.0, 1.0)
        agree = (taus * sign) > 0
        mass = (w * agree).sum(0)
        total = (w * taus * agree).sum(0) / torch.where(mass > 0, mass, 1.0)
        merged[name] = start + total.float().reshape(start.shape)
    return merged


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


@pytest.mark.parametrize("size", [1, 7, 64])
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


def bare(base, out, **extra):
    """Write a base without head and prefix, as a bare encoder's folder is."""
    state = {n.removeprefix("bert."): t for n, t in state_of(base).items() if n.startswith("bert.")}
    out.mkdir()
    save_file({n: t.contiguous() for n, t in (state | extra).items()}, out / "model.safetensors", {"format": "pt"})
    (out / "config.json").write_text((base / "config.json").read_text())
    change_config(out, architectures=["BertModel"])
    return out


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


# --- heads


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


# --- outputs


def test_the_output_task_vector_added_to_the_base_is_the_output_checkpoint(tmp_path):
    base, *sources = family(tmp_path)
    step = [Step("ties", {}, tuple(WEIGHTS))]
    merge_checkpoints(sources, base, tmp_path / "merged.safetensors", step, output="task-vector")
    vector = load_task_vector(tmp_path / "merged.safetensors", base_digest(base))
    whole, start = merge(sources, base, tmp_path / "out", "ties", WEIGHTS), state_of(base)
    assert_same({n: start[n] + d for n, d in vector.dense.items()}, whole)
    assert json.loads((tmp_path / "merged.safetensors.json").read_text())["output"]["kind"] == "task-vector"


def test_a_task_vector_is_merged_again(tmp_path):
    base, *sources = family(tmp_path, max_shard_size="8KB")
    merge_checkpoints(
        sources, base, tmp_path / "v.safetensors", [Step("average", {}, (1 / 3,) * 3)], output="task-vector"
    )
    expected = merge(sources, base, tmp_path / "out")
    assert_same(merge([tmp_path / "v.safetensors"], base, tmp_path / "again"), expected)


@pytest.mark.parametrize("owner", ["model1", "base"])
def test_the_tokenizer_is_the_first_sources_that_has_one(owner, tmp_path):
    base, *sources = family(tmp_path, tokenizer=False)
    write_tokenizer(tmp_path / owner, ["x", "y"])
    (tmp_path / owner / "tokenizer_config.json").write_text("{}")
    merge(sources, base, tmp_path / "out")
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"config.json", "model.safetensors", "xlmerge.json", "tokenizer.json", "tokenizer_config.json"}
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (tmp_path / owner / "tokenizer.json").read_bytes()


def test_the_config_is_the_first_checkpoints(tmp_path):
    base, one, two, _ = family(tmp_path)
    change_config(one, hidden_dropout_prob=0.3)
    merge([one, two], base, tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["hidden_dropout_prob"] == 0.3
    assert config["architectures"] == ["BertForSequenceClassification"]


# --- steps


def test_steps_merge_different_tensors_differently(tmp_path):
    base, *sources = family(tmp_path)
    names = frozenset(n for n in state_of(base) if ".layer.0." in n)
    steps = [
        Step("ties", {"density": 0.3}, tuple(WEIGHTS), names),
        Step("similarity", {}, (0.0, 0.0, 1.0), frozenset({"classifier.bias"})),
        Step("task_arithmetic", {"scaling": 0.5}, (1 / 3,) * 3),
    ]
    merge_checkpoints(sources, base, tmp_path / "out", steps)
    found, states = state_of(tmp_path / "out"), [state_of(s) for s in sources]
    start = state_of(base)
    for name in names:  # one scope: the trimming counts the elements of this step only
        assert 0 < (found[name] != start[name]).float().mean() < 0.9
    changed = sum(int((found[n] != start[n]).sum()) for n in names)
    whole = merge(sources, base, tmp_path / "whole", "ties", WEIGHTS, parameters={"density": 0.3})
    assert changed != sum(int((whole[n] != start[n]).sum()) for n in names)
    assert torch.allclose(found["classifier.bias"], states[2]["classifier.bias"], atol=1e-7)
    name = "bert.encoder.layer.1.output.dense.weight"
    expected = start[name] + 0.5 * sum(s[name] - start[name] for s in states)
    torch.testing.assert_close(found[name], expected, rtol=1e-6, atol=1e-6)


def test_count_all_counts_the_steps_elements(tmp_path):
    base, *sources = family(tmp_path, count=1)
    name = "bert.encoder.layer.0.output.dense.weight"
    steps = [Step("ties", {"density": 0.25, "count": "all"}, (1.0,), frozenset({name}))]
    merge_checkpoints(sources, base, tmp_path / "out", steps)
    found, start = state_of(tmp_path / "out"), state_of(base)
    assert int((found[name] != start[name]).sum()) == int(0.25 * start[name].numel())
    assert_same({n: t for n, t in found.items() if n != name}, {n: t for n, t in start.items() if n != name})


def test_steps_can_be_made_from_the_models(tmp_path):
    base, *sources = family(tmp_path)

    def steps(models):
        head = models.architecture.layout.head
        return [Step("average", {}, (1 / 3,) * 3, head)]

    merge_checkpoints(sources, base, tmp_path / "out", steps)
    found, start = state_of(tmp_path / "out"), state_of(base)
    assert {n for n in found if not torch.equal(found[n], start[n])} == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([{"classifier.bias"}, {"classifier.bias"}], "two steps merge the same"),
        ([None, None], "two steps merge the same"),
        ([{"classifier.bia"}], r"no tensors classifier\.bia$"),
    ],
)
def test_steps_that_do_not_fit_are_errors(tensors, message, tmp_path):
    base, *sources = family(tmp_path)
    steps = [Step("average", {}, (1 / 3,) * 3, None if t is None else frozenset(t)) for t in tensors]
    with pytest.raises(XlmergeError, match=message):
        merge_checkpoints(sources, base, tmp_path / "out", steps)


def test_a_fresh_head_must_be_merged_by_a_step(tmp_path):
    base, *sources = family(tmp_path)
    step = Step("average", {}, (1 / 3,) * 3, frozenset({"bert.encoder.layer.0.output.dense.bias"}))
    with pytest.raises(XlmergeError, match=r"lacks classifier\.bias, classifier\.weight, and no step"):
        merge_checkpoints(sources, bare(base, tmp_path / "bare"), tmp_path / "out", [step])


def test_hierarchical_merges_checkpoints(tmp_path):
    base, *sources = family(tmp_path)
    found = merge(sources, base, tmp_path / "out", "hierarchical", groups=["a", "a", "b"])
    expected = weighted([state_of(s) for s in sources], [0.25, 0.25, 0.5])
    assert_close(found, expected)


def test_erased_tensors_are_said(tmp_path, capsys):
    base, *sources = family(tmp_path)
    for folder in sources:
        change_state(folder, **{"classifier.bias": state_of(base)["classifier.bias"] + 1e-6})
    found = merge(sources, base, tmp_path / "out", "ties", parameters={"density": 0.05})
    assert torch.equal(found["classifier.bias"], state_of(base)["classifier.bias"])
    report = json.loads((tmp_path / "out/xlmerge.json").read_text())
    assert "classifier.bias" in report["merged"]["erased"]
    assert "changed tensors stay θ₀'s" in capsys.readouterr().err


def test_what_moved_and_stays_is_not_called_erased(tmp_path, capsys):
    base, *sources = family(tmp_path)
    name = "bert.encoder.layer.0.output.dense.bias"
    for folder in sources:  # nobody changed it, so nothing of it was erased
        change_state(folder, **{name: state_of(base)[name]})
    merge(sources, base, tmp_path / "out")
    assert json.loads((tmp_path / "out/xlmerge.json").read_text())["merged"]["erased"] == []


def test_fine_tunes_differ_from_the_base():
    one, two = make_model(), make_model()
    fine_tune(two, 0, rows=[1])
    assert torch.equal(one.get_input_embeddings().weight[2:], two.get_input_embeddings().weight[2:])
    assert not torch.equal(one.classifier.weight, two.classifier.weight)


# --- θ₀'s pieces


def test_pieces_of_the_base_are_what_is_stored(tmp_path):
    """Also where a longer or shorter piece follows at the same place, or one of another tensor."""
    folder, *_ = family(tmp_path, count=1)
    name, other = "bert.encoder.layer.0.output.dense.weight", "bert.encoder.layer.1.output.dense.weight"
    state = state_of(folder)
    architecture = Architecture.of(load_config(folder))
    checkpoint = Checkpoint(folder, architecture)
    base = Base(checkpoint, dict(architecture.layout.shapes), frozenset({"classifier.bias"}))
    for tensor, start, count in [(name, 0, 5), (name, 0, 9), (name, 0, 5), (other, 0, 5), (other, 3, 5), (name, 3, 5)]:
        expected = state[tensor].flatten()[start : start + count].tolist()
        assert base.piece(tensor, start, count).tolist() == expected
    assert base.piece("classifier.bias", 0, 3).tolist() == [0, 0, 0]
    base.close()
    with pytest.raises(OSError):
        base.piece(name, 0, 1)
