"""What a merge of checkpoints writes, and merges that treat tensors differently."""

import json

import pytest
import torch

from tests.unit.checkpoint_models import (
    WEIGHTS,
    assert_close,
    assert_same,
    bare,
    change_config,
    change_state,
    family,
    fine_tune,
    make_model,
    merge,
    state_of,
    weighted,
    write_tokenizer,
)
from workflow_scripts.checkpoints.merge import merge_checkpoints
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import Step
from workflow_scripts.models.checkpoints import base_digest, load_task_vector

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
