"""The length of a training: planned, ended by the validation loss, and marked where it was too short."""

import re

import pandas as pd
import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from workflow_scripts.models import training
from workflow_scripts.models.convergence import Convergence, shortfall
from workflow_scripts.models.length import Length, length_of
from workflow_scripts.models.training import finetune
from workflow_scripts.study.config import Finetune

DEFAULTS = Finetune().model_dump()
WORDS = {0: ["licht", "lampe"], 1: ["musik", "lied"], 2: ["wetter", "regen"]}
OTHERS = ("an", "aus", "jetzt", "bitte", "morgen", "heute")


def table(count: int) -> pd.DataFrame:
    rows = [(f"{words[i % 2]} {OTHERS[i % 6]} {OTHERS[i % 5]}", k) for k, words in WORDS.items() for i in range(count)]
    return pd.DataFrame([{"id": str(i), "text": t, "label": k, "cluster": str(i)} for i, (t, k) in enumerate(rows)])


@pytest.mark.parametrize(
    ("sentences", "length"),
    [
        (150, Length(300, 300, 30)),  # sixty passes of five steps
        (600, Length(300, 300, 30)),
        (3_000, Length(940, 300, 94)),  # ten passes
        (15_000, Length(4_690, 300, 469)),
    ],
)
def test_little_data_are_passed_more_often(sentences, length):
    assert length_of(DEFAULTS, sentences) == length


def judged(losses: list[float], every: int, patience: int, least: int, most: int = 10_000) -> tuple[int, Convergence]:
    """Return the step where a training with these losses ends."""
    convergence = Convergence(patience, least)
    arguments = TrainingArguments("unused", eval_strategy="steps", use_cpu=True)
    state, rest = TrainerState(max_steps=most), iter(losses)
    while True:
        state.global_step += 1
        control = TrainerControl()
        convergence.on_step_end(arguments, state, control)
        if control.should_training_stop:
            assert control.should_evaluate and control.should_save, "the end is judged and kept"
            return state.global_step, convergence
        if state.global_step % every == 0:
            convergence.on_evaluate(arguments, state, control, {"eval_loss": next(rest, 1.0)})


def test_a_training_ends_a_fifth_after_its_loss_stopped_falling():
    end, convergence = judged([5, 4, 3, 3.1, 3.2], every=10, patience=2, least=1)
    assert (convergence.since, end) == (50, 60)
    assert judged([5, 4, 3, 3.1, 2.9, 2.8, 3, 3], every=10, patience=2, least=1)[0] == 96, "a better one counts anew"


def test_no_training_ends_before_its_least_steps_or_after_its_most():
    assert judged([1] * 50, every=10, patience=2, least=300)[0] == 300
    assert judged([1] * 50, every=10, patience=2, least=1, most=32)[0] == 32
    assert judged([1] * 50, every=10, patience=0, least=1, most=200)[0] == 200, "no patience: never"


def test_the_learning_rate_reaches_zero_where_the_training_ends():
    convergence = Convergence(patience=2, least=1)
    rate = convergence.rate(lambda step: 1 - step / 1000)
    assert rate(50) == pytest.approx(0.95)
    convergence.since = 50
    assert [rate(step) for step in (50, 55, 60, 61)] == pytest.approx([0.95, 0.475, 0, 0])


def test_a_resumed_training_remembers_its_judgements():
    losses = [5, 4, 3, 3.1, 3.2]
    state = TrainerState(log_history=[{"eval_loss": loss, "step": 10 * i} for i, loss in enumerate(losses, 1)])
    resumed = Convergence(patience=2, least=1)
    resumed.on_train_begin(TrainingArguments("unused", use_cpu=True), state, TrainerControl())
    assert (resumed.since, resumed.best) == (50, 3)


def history(losses, stopped=False, trained=1.0):
    log = [{"eval_loss": loss} for loss in losses]
    return {"log": log, "stopped_falling": stopped, "training_accuracy": trained, "best_validation_accuracy": 0.9}


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (history([2.0, 1.0, 0.8]), r"still falling at the end, 1\.000 to 0\.800"),
        (history([2.0]), "judged 1 time"),
        (history([2.0, 0.5, 0.6], trained=0.8), r"training sentences is 0\.800, on validation sentences 0\.900"),
        (history([2.0, 0.5, 0.48]), None),
        (history([2.0, 0.5, 0.6]), None),
        (history([2.0, 0.6, 0.5], stopped=True), None),
        (history([0.04, 0.03, 0.02]), None),  # a hundredth of a nat is no accuracy
    ],
)
def test_what_has_not_converged_is_told(of, reason):
    told = shortfall(of)
    assert told is None if reason is None else re.search(reason, str(told))


@pytest.mark.parametrize("count", [50, 200, 1000])  # of each of three classes
def test_defaults_reach_what_a_long_training_reaches(tiny_base, tmp_path, count):
    torch.set_num_threads(1)
    tune = {"learning_rate": 3e-3, "batch_size": 32}
    data, held_out = table(count), table(30)
    usual = finetune(tiny_base, data, held_out, Finetune(**tune).model_dump(), 0, tmp_path / "usual").history
    assert usual["not_converged"] is None
    assert usual["best_validation_accuracy"] >= 0.98


def test_a_training_cut_short_is_marked(tiny_base, tmp_path):
    short = Finetune(learning_rate=1e-3, batch_size=32, epochs=2, min_steps=1).model_dump()
    marked = finetune(tiny_base, table(50), table(30), short, 0, tmp_path).history
    assert marked["steps"] == 10 and "still falling" in marked["not_converged"]


def test_the_best_judged_weights_are_kept(tiny_base, tmp_path, monkeypatch):
    losses = iter([0.9, 1.0, 1.1])
    evaluate = training.LocaleTrainer.evaluate

    def pretended(self, *arguments, **named):
        metrics = evaluate(self, *arguments, **named)
        return {**metrics, "eval_loss": next(losses)}

    monkeypatch.setattr(training.LocaleTrainer, "evaluate", pretended)
    fixed = {"learning_rate": 3e-3, "batch_size": 4, "schedule": "constant_with_warmup", "warmup": 0, "min_steps": 1}
    settings = [Finetune(**fixed, early_stopping=0, epochs=epochs).model_dump() for epochs in (3, 1)]
    three = finetune(tiny_base, table(8), table(3), settings[0], 0, tmp_path / "three")
    monkeypatch.undo()
    one = finetune(tiny_base, table(8), table(3), settings[1], 0, tmp_path / "one")
    assert three.history["best_step"] == one.history["steps"] == 6
    assert all(torch.equal(three.task_vector.dense[name], delta) for name, delta in one.task_vector.dense.items())
