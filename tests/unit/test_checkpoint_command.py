"""The command `xlmerge merge`."""

import json

import pytest
import torch

from tests.conftest import xlmerge
from tests.unit.checkpoint_models import change_state, family, merge, state_of
from workflow_scripts.checkpoints.merge import PROCESS, expected_memory
from workflow_scripts.cli import merge_command
from workflow_scripts.core import registry
from workflow_scripts.core.signatures import parameter_model, summary
from workflow_scripts.merging.method import Step
from workflow_scripts.merging.pieces import Context, Layout

METHODS = registry.names("merge method")


@pytest.fixture
def models(tmp_path):
    return family(tmp_path)


def merging(models, tmp_path, method, *options):
    """Call the command on three models and their base."""
    base, *sources = models
    return xlmerge("merge", method, "--base", base, "--out", tmp_path / "out", *options, *sources)


def step_of(monkeypatch, method, *options):
    """Return the step that the command would merge by."""
    steps = []
    monkeypatch.setattr(merge_command, "_merge", lambda made, *_, **__: steps.extend(made))
    assert xlmerge("merge", method, "--base", "b", "--out", "o", *options, "x", "y").exit_code == 0
    return steps[0]


def test_the_command_merges(models, tmp_path):
    done = merging(models, tmp_path, "ties", "--density", "0.4", "--trim", "tensor", "--weights", "5,3,2")
    assert done.exit_code == 0
    found = state_of(tmp_path / "out")
    settings = {"density": 0.4, "trim": "tensor"}
    expected = merge(models[1:], models[0], tmp_path / "again", "ties", [0.5, 0.3, 0.2], parameters=settings)
    assert all(torch.equal(found[n], t) for n, t in expected.items())
    assert "source  model0: checkpoint" in done.stdout
    assert f"output  {tmp_path}/out: checkpoint" in done.stdout


def test_a_dry_run_checks_and_writes_nothing(models, tmp_path):
    before = set(tmp_path.rglob("*"))
    done = merging(models, tmp_path, "average", "--dry-run")
    assert done.exit_code == 0
    size = sum(p.stat().st_size for p in models[1].glob("*.safetensors"))
    assert f"source  model0: checkpoint, {size / 1e6:.2f} MB" in done.stdout
    assert "memory  about" in done.stdout
    assert "nothing was written" in done.stdout
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ties", "--density", "2"], "parameters of ties: density: Input should be less than or equal to 1"),
        (["slerp"], "slerp merges exactly 2 sources, not 3"),
        (["hierarchical"], "hierarchical needs each source's group (family): give `--groups`"),
        (["layer_swap"], "layer_swap needs each source's group (role): give `--groups`"),
        (["hierarchical", "--groups", "a,b"], "3 sources need as many groups, got 2"),
        (["similarity", "--weights", "1,2"], "3 sources need as many weights, got 2"),
        (["similarity", "--weights", "1,-2,3"], "weights must be 0 or more"),
        (["similarity", "--weights", "0,0,0"], "one of them above 0"),
        (["average", "--weights", "1,2,3"], "average does not use weights"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_mistake_is_one_message_and_exit_code_1(arguments, message, dry, models, tmp_path):
    done = merging(models, tmp_path, *arguments, *dry)
    assert done.exit_code == 1
    assert done.stderr.startswith("xlmerge: error: ")
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_not_there_is_named(tmp_path):
    done = xlmerge("merge", "average", "--base", tmp_path / "nowhere/base", "--out", "o", tmp_path / "a/b")
    assert done.exit_code == 1
    assert done.stderr.strip() == f"xlmerge: error: {tmp_path}/a/b does not exist"


@pytest.mark.parametrize("method", ["fisher", "regmean", "adamerging", "distill", "evolve"])
def test_methods_that_need_data_are_refused(method, models, tmp_path):
    done = merging(models, tmp_path, method)
    assert done.exit_code == 1
    assert f"{method} needs data beside the weights" in done.stderr


def test_so_are_combinations_of_them(models, tmp_path):
    done = merging(models, tmp_path, "hierarchical", "--groups", "a,a,b", "--inner", "fisher")
    assert done.exit_code == 1
    assert "hierarchical: inner cannot be fisher, which needs data" in done.stderr


def test_a_task_vector_is_written_on_request(models, tmp_path):
    assert merging(models, tmp_path, "average", "--output", "task-vector").exit_code == 0
    assert (tmp_path / "out").is_file()
    assert json.loads((tmp_path / "out.json").read_text())["output"]["kind"] == "task-vector"


def test_nested_parameters_are_json(models, tmp_path):
    options = ["--middle-from", "all", "--middle", "ties", "--middle-parameters", '{"density": 0.5}', "--bottom", "1"]
    assert merging(models, tmp_path, "layer_swap", *options).exit_code == 0
    (step,) = json.loads((tmp_path / "out/xlmerge.json").read_text())["steps"]
    assert step["parameters"]["middle_parameters"] == {"density": 0.5}
    assert (step["parameters"]["bottom"], step["parameters"]["top"]) == (1, None)


def test_a_switch_has_an_opposite(monkeypatch):
    assert step_of(monkeypatch, "dare_ties", "--normalize").parameters == {"normalize": True}
    assert step_of(monkeypatch, "dare_ties", "--no-normalize").parameters == {"normalize": False}
    assert step_of(monkeypatch, "dare_ties").parameters == {}


def test_weights_are_scaled_to_sum_1(monkeypatch):
    assert step_of(monkeypatch, "similarity", "--weights", "3,1").weights == (0.75, 0.25)
    assert step_of(monkeypatch, "similarity").weights == (0.5, 0.5)


def test_help_alone_lists_every_method():
    done = xlmerge("merge", "--help")
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    for name in METHODS:
        assert f" {name} {' '.join(summary('merge method', name).split())}" in shown


@pytest.mark.parametrize("method", METHODS)
def test_help_of_a_method_shows_its_parameters(method):
    done = xlmerge("merge", method, "--help")
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    for name, field in parameter_model("merge method", method).model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert f"[default: {json.dumps(field.default)}]" in shown


def test_help_of_a_method_has_the_first_paragraph_and_ranges():
    shown = " ".join(xlmerge("merge", "ties", "--help").stdout.split())
    assert "τ̂ᵢ: the k largest |τᵢ|" in shown
    assert "Yadav" not in shown
    assert "[> 0, ≤ 1] [default: 0.2]" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tie"], "no merge method 'tie'; did you mean 'ties'?"),
        (["ties", "--densty", "1"], "No such option '--densty'"),
        (["ties", "--trim", "rows", "--base", "b", "--out", "o", "x"], "'rows' is not one of 'global', 'tensor'"),
        (["ties", "--weights", "1,x", "--base", "b", "--out", "o", "x"], "could not convert string to float: 'x'"),
        (["ties", "--base", "b", "--out", "o"], "Missing argument 'SOURCE...'"),
    ],
)
def test_wrong_options_are_usage_errors(words, message):
    done = xlmerge("merge", *words)
    assert done.exit_code == 2
    assert done.stderr.startswith("Usage: xlmerge merge") and message in done.stderr


def test_the_bar_counts_what_every_source_read(models, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(merge_command.Bar, "phase", lambda self, name, elements: seen.append([name, elements, 0]))

    def advance(self, elements):
        if seen:
            seen[-1][2] += elements

    monkeypatch.setattr(merge_command.Bar, "advance", advance)
    assert merging(models, tmp_path, "ties").exit_code == 0
    size = 3 * sum(t.numel() for t in state_of(models[0]).values())
    (first, unknown, read), (last, total, streamed) = seen
    assert (first, unknown, read >= size) == ("ties: first pass", None, True)
    assert (last, total, streamed) == ("ties", size, size)


def test_the_bar_shows_nothing_without_a_terminal(capsys):
    bar = merge_command.Bar()
    bar.phase("ties", 10)
    bar.advance(5)
    bar.close()
    assert capsys.readouterr() == ("", "")


def test_memory_depends_on_what_a_method_asks_for():
    shapes = {"m.layer.0.w": (3000, 1000), "m.layer.0.b": (3000,)}
    context = Context(("a", "b"), None, Layout(layers=1, shapes=shapes))

    def expected(method, **parameters):
        return expected_memory([Step(method, parameters, (0.5, 0.5), frozenset(shapes))], context) - PROCESS

    assert expected("average") == expected("ties") == 4 * (1 << 16) * 8
    assert expected("tsv_m") == expected("hierarchical", outer="tsv_m") == 4 * 3_000_000 * 8


def test_errors_of_a_file_are_one_line_too(models, tmp_path):
    change_state(models[1], **{"classifier.bias": torch.tensor([0, float("inf"), 0])})
    done = merging(models, tmp_path, "ties")
    assert done.exit_code == 1
    assert "tensor classifier.bias is not finite in model0" in done.stderr
