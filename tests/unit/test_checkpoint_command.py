"""The command line of merge_checkpoints."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from tests.conftest import ROOT
from tests.unit.checkpoint_models import change_state, family, merge, state_of
from workflow_scripts.checkpoints import command
from workflow_scripts.checkpoints.merge import PROCESS, expected_memory
from workflow_scripts.cli.merge_checkpoints import main
from workflow_scripts.core import registry
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import Step
from workflow_scripts.merging.pieces import Context, Layout

METHODS = registry.names("merge method")


@pytest.fixture
def models(tmp_path):
    return family(tmp_path)


def call(models, tmp_path, *options):
    base, *sources = map(str, models)
    return ["--base", base, "--out", str(tmp_path / "out"), *options, "--", *sources]


def options_of(*arguments):
    return command.parse(["--base", "b", "--out", "o", *arguments, "--", "x", "y"])


def test_the_command_merges(models, tmp_path, capsys):
    options = ["--method", "ties", "--density", "0.4", "--trim", "tensor", "--weights", "5", "3", "2"]
    assert main(call(models, tmp_path, *options)) == 0
    found = state_of(tmp_path / "out")
    settings = {"density": 0.4, "trim": "tensor"}
    expected = merge(models[1:], models[0], tmp_path / "again", "ties", [0.5, 0.3, 0.2], parameters=settings)
    assert all(torch.equal(found[n], t) for n, t in expected.items())
    shown = capsys.readouterr().out
    assert "source  model0: checkpoint" in shown
    assert f"output  {tmp_path}/out: checkpoint" in shown


def test_a_dry_run_checks_and_writes_nothing(models, tmp_path, capsys):
    before = set(tmp_path.rglob("*"))
    assert main(call(models, tmp_path, "--method", "average", "--dry-run")) == 0
    shown = capsys.readouterr().out
    size = sum(p.stat().st_size for p in models[1].glob("*.safetensors"))
    assert f"source  model0: checkpoint, {size / 1e6:.2f} MB" in shown
    assert "memory  about" in shown
    assert "nothing was written" in shown
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--method", "ties", "--density", "2"],
            "parameters of ties: density: Input should be less than or equal to 1",
        ),
        (["--method", "ties", "--trim", "rows"], "parameters of ties: trim: Input should be 'global' or 'tensor'"),
        (["--method", "slerp"], "slerp merges exactly 2 sources, not 3"),
        (["--method", "hierarchical"], "hierarchical needs each source's group: give `--groups`"),
        (["--method", "hierarchical", "--groups", "a", "b"], "3 sources need as many groups, got 2"),
        (["--method", "similarity", "--weights", "1", "2"], "3 sources need as many weights, got 2"),
        (["--method", "similarity", "--weights", "1", "-2", "3"], "weights must be 0 or more"),
        (["--method", "similarity", "--weights", "0", "0", "0"], "one of them above 0"),
        (["--method", "average", "--weights", "1", "2", "3"], "average does not use weights"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_mistake_is_one_message_and_exit_code_1(arguments, message, dry, models, tmp_path, capsys):
    assert main(call(models, tmp_path, *arguments, *dry)) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("xlmerge: error: ")
    assert message in shown
    assert not (tmp_path / "out").exists()


def test_no_traceback_and_exit_code_1_from_the_shell(tmp_path):
    arguments = ["--method", "average", "--base", str(tmp_path / "nowhere/base"), "--out", "o", str(tmp_path / "a/b")]
    done = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.cli.merge_checkpoints", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"xlmerge: error: {tmp_path}/a/b does not exist"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("method", ["fisher", "regmean", "adamerging"])
def test_methods_that_need_data_are_refused(method, models, tmp_path, capsys):
    assert main(call(models, tmp_path, "--method", method)) == 1
    assert f"{method} needs data beside the weights" in capsys.readouterr().err


def test_so_are_combinations_of_them(models, tmp_path, capsys):
    more = ["--groups", "a", "a", "b", "--inner", "fisher"]
    assert main(call(models, tmp_path, "--method", "hierarchical", *more)) == 1
    assert "hierarchical: inner cannot be fisher, which needs data" in capsys.readouterr().err


def test_a_task_vector_is_written_on_request(models, tmp_path):
    assert main(call(models, tmp_path, "--method", "average", "--output", "task-vector")) == 0
    assert (tmp_path / "out").is_file()
    assert json.loads((tmp_path / "out.json").read_text())["output"]["kind"] == "task-vector"


def test_nested_parameters_are_json(models, tmp_path):
    options = ["--method", "layer_swap", "--middle", "ties", "--middle-parameters", '{"density": 0.5}', "--bottom", "1"]
    assert main(call(models, tmp_path, *options)) == 0
    (step,) = json.loads((tmp_path / "out/xlmerge.json").read_text())["steps"]
    assert step["parameters"]["middle_parameters"] == {"density": 0.5}
    assert (step["parameters"]["bottom"], step["parameters"]["top"]) == (1, None)


def test_a_switch_may_stand_alone():
    assert options_of("--method", "dare_ties", "--normalize").parameters == {"normalize": True}
    assert options_of("--method", "dare_ties", "--normalize", "false").parameters == {"normalize": False}
    assert options_of("--method", "dare_ties").parameters == {}


def test_weights_are_scaled_to_sum_1():
    assert command.step_of(options_of("--method", "similarity", "--weights", "3", "1")).weights == (0.75, 0.25)
    assert command.step_of(options_of("--method", "similarity")).weights == (0.5, 0.5)


def test_help_alone_lists_every_method(capsys):
    with pytest.raises(SystemExit) as caught:
        command.parse(["--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    for name in METHODS:
        first = registry.load("merge method", name).__doc__.splitlines()[0]
        assert f"  {name} " in shown
        assert first in shown


@pytest.mark.parametrize("method", METHODS)
def test_help_of_a_method_shows_its_parameters(method, capsys):
    from workflow_scripts.core.signatures import parameter_model

    with pytest.raises(SystemExit):
        command.parse(["--method", method, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{method}: " in shown
    for name, field in parameter_model("merge method", method).model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert f"(default: {json.dumps(field.default)})" in shown


def test_help_of_a_method_has_the_first_paragraph_and_ranges(capsys):
    with pytest.raises(SystemExit):
        command.parse(["--method", "ties", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "τ̂ᵢ: the k largest |τᵢ|" in shown
    assert "Yadav" not in shown
    assert "[> 0, ≤ 1] (default: 0.2)" in shown


@pytest.mark.parametrize("arguments", [["--method", "tie"], ["--method", "ties", "--densty", "1"], []])
def test_wrong_options_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        options_of(*arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_bar_counts_what_every_source_read(models, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(command.Bar, "phase", lambda self, name, elements: seen.append([name, elements, 0]))

    def advance(self, elements):
        if seen:
            seen[-1][2] += elements

    monkeypatch.setattr(command.Bar, "advance", advance)
    assert main(call(models, tmp_path, "--method", "ties")) == 0
    size = 3 * sum(t.numel() for t in state_of(models[0]).values())
    (first, unknown, read), (last, known, streamed) = seen
    assert (first, unknown, read >= size) == ("ties: first pass", None, True)
    assert (last, known, streamed) == ("ties", size, size)


def test_the_bar_shows_nothing_without_a_terminal(capsys):
    bar = command.Bar()
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


def test_errors_of_a_file_are_one_line_too(models, tmp_path, capsys):
    change_state(models[1], **{"classifier.bias": torch.tensor([0, float("inf"), 0])})
    assert main(call(models, tmp_path, "--method", "ties")) == 1
    assert "tensor classifier.bias is not finite in model0" in capsys.readouterr().err


def test_an_error_type_is_what_the_command_catches():
    with pytest.raises(XlmergeError):
        command.step_of(SimpleNamespace(weights=[1.0], sources=["a", "b"], method="ties", parameters={}))
