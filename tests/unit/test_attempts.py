"""Trainings that fail are tried again with other seeds; what happened is recorded, and a kill loses no attempt."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import TrainingArguments

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models import attempts, training
from workflow_scripts.models.attempts import FAILED, attempt_seed, finetune_with_retries
from workflow_scripts.models.collapse import TrainingFailed
from workflow_scripts.models.length import Length
from workflow_scripts.models.training import finetune, resolve_precision, training_arguments
from workflow_scripts.study.config import Finetune

SETTINGS = Finetune(learning_rate=3e-3, epochs=4, min_steps=1, batch_size=4, precision="float32").model_dump()
TOO_HIGH = {**SETTINGS, "learning_rate": 1e30, "max_grad_norm": 1e30, "warmup": 0}
WORDS = {0: ["licht", "lampe"], 1: ["musik", "lied"], 2: ["wetter", "regen"]}
SEED = 7


def table(count: int) -> pd.DataFrame:
    rows = [(f"{words[i % 2]} {'an' * (i % 3)}", k) for k, words in WORDS.items() for i in range(count)]
    return pd.DataFrame([{"id": str(i), "text": t, "label": k, "cluster": str(i)} for i, (t, k) in enumerate(rows)])


def run(base: Path, scratch: Path, retries: int = 2, settings=SETTINGS) -> training.Trained:
    return finetune_with_retries(base, table(8), table(3), settings, SEED, scratch, retries, "de-DE, seed 0")


def fail_first(monkeypatch, count: int) -> list[int]:
    """Give the first attempts an absurd learning rate; return the seeds as they are used."""
    seeds: list[int] = []

    def tampered(settings, scratch, seed, **data):
        seeds.append(seed)
        first = [attempt_seed(SEED, i) for i in range(count)]
        return finetune(settings=TOO_HIGH if seed in first else settings, scratch=scratch, seed=seed, **data)

    monkeypatch.setattr(attempts, "finetune_on_gpus", tampered)
    return seeds


def test_seeds_of_attempts_differ_and_the_first_is_the_trainings_own():
    assert attempt_seed(SEED, 0) == SEED
    assert len({attempt_seed(s, i) for s in (7, 8) for i in range(4)}) == 8


def test_a_good_training_has_one_attempt_and_is_the_plain_one(tiny_base, tmp_path):
    trained = run(tiny_base, tmp_path / "a")
    plain = finetune(tiny_base, table(8), table(3), SETTINGS, SEED, tmp_path / "b")
    assert trained.history["attempts"] == [{"seed": SEED, "failure": None}]
    assert all(torch.equal(trained.task_vector.dense[n], d) for n, d in plain.task_vector.dense.items())


def test_a_failed_training_is_tried_again_and_recorded(tiny_base, tmp_path, monkeypatch, capsys):
    seeds = fail_first(monkeypatch, 1)
    trained = run(tiny_base, tmp_path)
    failed, good = trained.history["attempts"]
    assert seeds == [failed["seed"], good["seed"]] == [SEED, attempt_seed(SEED, 1)]
    assert good["failure"] is None
    assert failed["failure"].startswith(("training diverged", "training learned nothing"))
    assert trained.history["best_validation_accuracy"] > trained.history["majority_accuracy"]
    assert "de-DE, seed 0: attempt 1 of 3 failed" in capsys.readouterr().err
    plain = finetune(tiny_base, table(8), table(3), SETTINGS, attempt_seed(SEED, 1), tmp_path / "plain")
    assert all(torch.equal(trained.task_vector.dense[n], d) for n, d in plain.task_vector.dense.items())
    json.dumps(trained.history, allow_nan=False)


def test_when_all_attempts_fail_the_error_says_why_and_what_to_do(tiny_base, tmp_path, monkeypatch):
    seeds = fail_first(monkeypatch, 9)
    with pytest.raises(XlmergeError) as caught:
        run(tiny_base, tmp_path, retries=1)
    message = str(caught.value)
    assert len(seeds) == 2 and all(f"seed {seed}: training " in message for seed in seeds)
    assert "de-DE, seed 0" in message and "finetune.retries" in message and str(tmp_path) in message
    assert not list(tmp_path.glob("attempt-*")), "checkpoints of failed attempts are left"
    with pytest.raises(XlmergeError, match="2 seeds"):
        run(tiny_base, tmp_path, retries=1)
    assert len(seeds) == 2, "what is known to fail was trained again"
    with pytest.raises(XlmergeError, match="3 seeds"):
        run(tiny_base, tmp_path, retries=2)
    assert seeds[2:] == [attempt_seed(SEED, 2)], "one more attempt was allowed"


def test_a_killed_job_goes_on_with_the_attempt_it_was_in(tiny_base, tmp_path, monkeypatch):
    whole = run_tampered(tiny_base, tmp_path / "whole", monkeypatch)
    seeds = fail_first(monkeypatch, 1)
    checks = iter(range(99))

    def killed_in_the_second_attempt(prediction):
        if next(checks) == 2 and len(seeds) == 2:
            raise KeyboardInterrupt
        return accuracy(prediction)

    accuracy = training._accuracy
    with monkeypatch.context() as patch:
        patch.setattr(training, "_accuracy", killed_in_the_second_attempt)
        checks = iter(range(99))
        with pytest.raises(KeyboardInterrupt):
            run(tiny_base, tmp_path / "cut")
    assert [a["seed"] for a in json.loads((tmp_path / "cut" / FAILED).read_text())] == [SEED]
    resumed = run(tiny_base, tmp_path / "cut")
    assert seeds == [SEED, attempt_seed(SEED, 1), attempt_seed(SEED, 1)], "the failed attempt was made again"
    assert resumed.history["attempts"] == whole.history["attempts"]
    assert all(torch.equal(resumed.task_vector.dense[n], d) for n, d in whole.task_vector.dense.items())


def run_tampered(base, scratch, monkeypatch):
    with monkeypatch.context() as patch:
        fail_first(patch, 1)
        return run(base, scratch)


def test_other_errors_are_not_tried_again(tiny_base, tmp_path):
    with pytest.raises(XlmergeError, match="max_length"):
        run(tiny_base, tmp_path, settings={**SETTINGS, "max_length": 9999})
    assert not (tmp_path / FAILED).exists()


def test_a_training_that_diverges_stops_at_once(tiny_base, tmp_path, monkeypatch):
    evaluations = []
    monkeypatch.setattr(training, "_accuracy", lambda p: evaluations.append(1) or {"accuracy": 0.9})
    with pytest.raises(TrainingFailed, match=r"diverged.*step 6\b"):
        finetune(tiny_base, table(8), table(3), {**TOO_HIGH, "early_stopping": 0}, SEED, tmp_path)
    assert len(evaluations) <= 1


@pytest.mark.parametrize(("precision", "fails"), [("float32", True), ("fp16", False)])
def test_a_gradient_norm_that_is_not_finite_is_a_failure_unless_losses_are_scaled(precision, fails):
    from types import SimpleNamespace

    from workflow_scripts.models.collapse import StopWhenDiverged

    args, state = SimpleNamespace(fp16=precision == "fp16"), SimpleNamespace(global_step=3)
    for number in (1.0, float("nan"), float("inf")):
        logs = {"loss": 1.0, "grad_norm": number}
        if fails and not np.isfinite(number):
            with pytest.raises(TrainingFailed, match="grad_norm"):
                StopWhenDiverged().on_log(args, state, None, logs=logs)
        else:
            StopWhenDiverged().on_log(args, state, None, logs=logs)


# --- the machine


def machine(monkeypatch, gpu: bool, bf16: bool) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: bf16)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: bf16)


@pytest.mark.parametrize(
    ("gpu", "bf16", "auto", "refused"),
    [
        (True, True, "bf16", []),
        (True, False, "fp16", ["bf16", "tf32"]),
        (False, True, "bf16", ["fp16", "tf32"]),
        (False, False, "float32", ["fp16", "tf32"]),
    ],
    ids=["Ampere or newer", "older GPU", "CPU with bf16", "older CPU"],
)
def test_precision_follows_the_hardware(monkeypatch, gpu, bf16, auto, refused):
    machine(monkeypatch, gpu, bf16)
    assert resolve_precision("auto") == auto
    assert resolve_precision("float32") == "float32"
    for wanted in ("bf16", "fp16", "tf32"):
        if wanted in refused:
            with pytest.raises(XlmergeError, match=f"cannot train in `precision: {wanted}`"):
                resolve_precision(wanted)
        else:
            assert resolve_precision(wanted) == wanted


def test_batches_do_not_grow_with_the_number_of_visible_gpus(tmp_path, monkeypatch):
    class FourGpus(TrainingArguments):
        def __post_init__(self):
            super().__post_init__()
            self._n_gpu = 4

    monkeypatch.setattr(training, "TrainingArguments", FourGpus)
    assert training_arguments({**SETTINGS, "batch_size": 8}, 0, tmp_path, Length(9, 1, 3)).train_batch_size == 8


def test_gradient_accumulation_makes_the_same_steps_as_larger_batches(tiny_base, tmp_path):
    settings = {**SETTINGS, "batch_size": 2, "gradient_accumulation": 2, "epochs": 1, "freeze_embeddings": True}
    trained = finetune(tiny_base, table(8), table(3), {**settings, "epochs": 4}, SEED, tmp_path)
    assert trained.history["steps"] == 24


def test_a_compiled_training_gives_the_same_model(tiny_base, tmp_path, monkeypatch):
    def with_quick_backend(*arguments):  # the graph is captured as for inductor, but not made into machine code
        made = training_arguments(*arguments)
        assert made.torch_compile and made.torch_compile_backend == "inductor"
        made.torch_compile_backend = "eager"
        return made

    short = {**SETTINGS, "epochs": 2}
    plain = finetune(tiny_base, table(8), table(3), short, SEED, tmp_path / "plain")
    monkeypatch.setattr(training, "training_arguments", with_quick_backend)
    compiled = finetune(tiny_base, table(8), table(3), {**short, "compile": True}, SEED, tmp_path / "compiled")
    assert compiled.task_vector.dense.keys() == plain.task_vector.dense.keys()
    for name, delta in plain.task_vector.dense.items():
        torch.testing.assert_close(compiled.task_vector.dense[name], delta, rtol=1e-3, atol=1e-5)
