"""mergekit's YAML: what is refused, and the command that follows a file."""

import re

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.conftest import xlmerge
from tests.unit.checkpoint_models import family, state_of
from tests.unit.test_mergekit_translation import LAYOUT, asked, config_of, two
from workflow_scripts.checkpoints.mergekit_config import parse_config, read_config
from workflow_scripts.checkpoints.mergekit_translation import steps_for, translate, unused_parameters
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.engine import check_weights

# --- errors

MODELS = "models: [{model: a}, {model: b}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"merge_method: tise\n{MODELS}", "unknown merge_method 'tise'; did you mean 'ties'"),
        (f"merge_method: nearswap\n{MODELS}", "xlmerge does not have mergekit's nearswap"),
        (f"merge_method: ties\n{MODELS}", "ties needs `base_model`"),
        (f"merge_method: linear\n{MODELS}\nbase_modell: c", "did you mean 'base_model'"),
        (f"merge_method: linear\n{MODELS}\nslices: []", "`slices` of mergekit is not supported"),
        (f"merge_method: linear\n{MODELS}\nmodules: {{}}", "`modules` of mergekit is not supported"),
        (f"merge_method: linear\n{MODELS}\ntokenizer_source: base", "`tokenizer_source` of mergekit"),
        (f"merge_method: linear\n{MODELS}\ntokenizer: {{}}", "`tokenizer` of mergekit"),
        (f"merge_method: linear\n{MODELS}\nchat_template: auto", "`chat_template` of mergekit"),
        (
            f"merge_method: linear\n{MODELS}\nparameters: {{weigth: 1}}",
            "unknown parameter 'weigth'; did you mean 'weight'",
        ),
        (
            "merge_method: linear\nmodels: [{model: a, parameters: {weight: {filtr: x, value: 1}}}]",
            "models.0.parameters.weight.0.filtr: unknown key",
        ),
        (
            f"merge_method: linear\n{MODELS}\nparameters: {{weight: []}}",
            "weight.0.value: a number, true, false, or a list",
        ),
        (
            f"merge_method: linear\n{MODELS}\nparameters: {{weight: }}",
            "weight.0.value: a number, true, false, or a list",
        ),
        ("merge_method: linear", "models: Field required"),
        ("[1, 2]", "does not fit"),
        ("merge_method: linear\nmodels: [{model: a}, {model: a}]", "a is listed twice"),
        ("merge_method: linear\nmodels: [{model: a+lora}]", "adapters are not merged in"),
        ("merge_method: linear\nmodels: [{model: a@v1}]", "fetch that revision"),
        (f"merge_method: linear\n{MODELS}\ndtype: float64", "dtype float64 is not written"),
        (f"merge_method: model_stock\nbase_model: b\n{MODELS}", "2 or more models beside the base model, got 1"),
        (f"merge_method: slerp\nbase_model: c\n{MODELS}", "exactly 2 models, the base model among them, got 3"),
        ("merge_method: ties\nbase_model: a\nmodels: [{model: a}]", "1 or more models beside the base model, got 0"),
    ],
)
def test_a_file_that_cannot_be_followed_is_refused(text, message):
    with pytest.raises(XlmergeError, match=re.escape(message)):
        asked(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (two("ties", second="{}"), "ties needs `weight` of b for tensor enc.embed.weight"),
        (two("ties", second="{weight: {filter: attn, value: 1}}"), "needs `weight` of b for tensor enc.embed.weight"),
        (two("linear"), "linear needs `weight` of base"),
        (two("linear", "{weight: 1, normalize: false}"), "sum to 5"),
        (two("linear", "{weight: -4}"), "sum to 0"),
        (two("ties", "{}", "{weight: -1}"), "electing signs takes weights of 0 or more, got [-1.0, 3.0]"),
        (two("ties", "{}", "{weight: much}"), "weight of a: 'much' is not a number"),
        (two("ties", "{normalize: perhaps}"), "normalize: 'perhaps' is neither true nor false"),
        (two("ties", "{density: -0.5}"), "density is 0 or more"),
        (two("ties", "{density: 0.5, rescale: true}"), "`rescale` is supported for dare and della only"),
        (two("model_stock", "{filter_wise: true}"), "`filter_wise` is not supported"),
        (f"merge_method: slerp\nbase_model: a\n{MODELS}", "slerp needs `t`"),
        (f"merge_method: slerp\nbase_model: a\n{MODELS}\nparameters: {{t: [0, 2]}}", "t lies between 0 and 1, got 2"),
    ],
)
def test_parameters_that_do_not_work_are_refused(text, message):
    with pytest.raises(XlmergeError, match=re.escape(message)):
        made = asked(text)
        steps_for(made, made.sources, LAYOUT)


def test_a_parameter_without_effect_is_told():
    text = two("ties", "{density: 0.5, t: 0.5, max_iter: 3}", "{weight: 1, normalize: false}")
    assert unused_parameters(parse_config(config_of(text))) == [
        "ties does not use max_iter, t",
        "ties does not use normalize of a single model (a)",
    ]


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "x.yml").write_text("a: [")
    with pytest.raises(XlmergeError, match=r"x\.yml cannot be read as YAML"):
        read_config(tmp_path / "x.yml")
    with pytest.raises(XlmergeError, match=r"missing\.yml cannot be read"):
        read_config(tmp_path / "missing.yml")


# --- the command


@pytest.fixture
def file(tmp_path):
    base, *models = family(tmp_path)
    content = {
        "merge_method": "task_arithmetic",
        "base_model": str(base),
        "models": [{"model": str(m), "parameters": {"weight": w}} for m, w in zip(models, (2, 1, -1), strict=True)],
        "parameters": {"t": 1},
        "dtype": "float32",
    }
    (tmp_path / "merge.yml").write_text(yaml.safe_dump(content))
    return tmp_path / "merge.yml"


def test_the_command_follows_the_file(file, tmp_path):
    done = xlmerge("merge", "mergekit", file, "--out", tmp_path / "out")
    assert done.exit_code == 0
    found, base = state_of(tmp_path / "out"), state_of(tmp_path / "base")
    states = [state_of(tmp_path / f"model{i}") for i in range(3)]
    for name, value in found.items():
        expected = base[name] + 2 * (states[0][name] - base[name]) + states[1][name] - states[2][name]
        assert value.numpy() == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-6)
    assert "task_arithmetic does not use t" in done.stderr


def test_the_command_can_write_a_task_vector_and_do_a_dry_run(file, tmp_path):
    out = tmp_path / "out.safetensors"
    assert xlmerge("merge", "mergekit", file, "--out", out, "--output", "task-vector").exit_code == 0
    assert out.is_file()
    assert xlmerge("merge", "mergekit", file, "--out", tmp_path / "dry", "--dry-run").exit_code == 0
    assert not (tmp_path / "dry").exists()


def test_a_mistake_is_one_message_that_names_the_file(file, tmp_path):
    file.write_text(file.read_text().replace("task_arithmetic", "passthrough"))
    done = xlmerge("merge", "mergekit", file, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "merge.yml: xlmerge does not have mergekit's passthrough" in done.stderr
    assert done.stderr.count("\n") == 1


def test_negative_weights_cannot_average_heads(file, tmp_path):
    done = xlmerge("merge", "mergekit", file, "--out", tmp_path / "out", "--head", "mean")
    assert done.exit_code == 1
    assert "the head is averaged, which takes weights of 0 or more" in done.stderr


def test_other_options_of_the_command_do_not_go_with_a_file(file, tmp_path):
    done = xlmerge("merge", "mergekit", file, "--out", tmp_path / "out", "--weights", "1,2")
    assert done.exit_code == 2 and "--weights" in done.stderr


@pytest.mark.parametrize(("half", "expected"), [(range(4), torch.bfloat16), (range(1, 4), torch.float32)])
def test_without_a_dtype_the_output_can_hold_all_models(half, expected, file, tmp_path):
    folders = [tmp_path / "base", *(tmp_path / f"model{i}" for i in range(3))]
    for i in half:
        weights = folders[i] / "model.safetensors"
        save_file({n: t.to(torch.bfloat16) for n, t in load_file(weights).items()}, weights, metadata={"format": "pt"})
    file.write_text(file.read_text().replace("dtype: float32\n", ""))
    assert xlmerge("merge", "mergekit", file, "--out", tmp_path / "out").exit_code == 0
    assert {t.dtype for t in load_file(tmp_path / "out" / "model.safetensors").values()} == {expected}


def test_raw_weights_are_finite_numbers():
    check_weights(["a", "b"], [-1, 3], raw=True)
    with pytest.raises(XlmergeError, match="0 or more"):
        check_weights(["a", "b"], [-1, 2])
    with pytest.raises(XlmergeError, match="must be numbers"):
        check_weights(["a", "b"], [float("inf"), 1], raw=True)


def test_a_file_is_named_once_whatever_is_wrong_with_it(tmp_path):
    for content in ("slices: []", "{merge_method: ties, models: [{model: a}]}"):
        (tmp_path / "x.yml").write_text(content)
        with pytest.raises(XlmergeError) as caught:
            translate(tmp_path / "x.yml")
        assert str(caught.value).count("x.yml") == 1
