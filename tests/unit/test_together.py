"""One training in several processes: the model of one process, the same errors, nothing left behind by a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests import preloaded
from tests.conftest import ROOT
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.collapse import TrainingFailed
from workflow_scripts.models.together import finetune_on_gpus
from workflow_scripts.models.training import Trained
from workflow_scripts.study.config import Finetune

WORDS = {0: "licht", 1: "musik", 2: "wetter"}  # four tokens each with what follows
SETTINGS = {
    "learning_rate": 3e-3,
    "epochs": 3,
    "min_steps": 1,
    "batch_size": 4,
    "precision": "float32",
    "early_stopping": 0,
}
PYTHON = sys.executable
IN_A_PROCESS = """
import pickle, sys
from workflow_scripts.models.together import finetune_on_gpus
finetune_on_gpus(**pickle.load(open(sys.argv[1], "rb")))
"""


IN_A_FORK = f"""#!{sys.executable} -S
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests import preloaded
sys.exit(preloaded.run(os.environ[preloaded.ADDRESS], sys.argv[1:], os.getcwd(), dict(os.environ), (1, 2)))
"""


@pytest.fixture
def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that train be forks of the preloaded one, where there is one."""
    if preloaded.ADDRESS in os.environ:
        path = tmp_path / "python"
        path.write_text(IN_A_FORK)
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        monkeypatch.setenv("PYTHONPATH", str(ROOT))


def table(count: int) -> pd.DataFrame:
    """Sentences of one length, so that batches hold the same sentences however they are shared."""
    rows = [(f"{word} an", k) for k, word in WORDS.items() for _ in range(count)]
    return pd.DataFrame([{"id": str(i), "text": t, "label": k, "cluster": str(i)} for i, (t, k) in enumerate(rows)])


@pytest.fixture(scope="module")
def steady_base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """θ₀ without dropout, whose random numbers depend on how batches are shared."""
    base = tmp_path_factory.mktemp("base") / "base"
    shutil.copytree(tiny_base, base)
    config = json.loads((base / "config.json").read_text())
    config |= {key: 0.0 for key in config if "dropout" in key and config[key] is not None}
    (base / "config.json").write_text(json.dumps(config))
    return base


def call(base: Path, scratch: Path, **changes) -> dict:
    settings = Finetune(**{**SETTINGS, **changes}).model_dump()
    return {
        "settings": settings,
        "scratch": scratch,
        "base": base,
        "train": table(8),
        "validation": table(4),
        "seed": 5,
    }


def largest_difference(one: Trained, other: Trained) -> float:
    """Return the largest difference of weights; the keys' biases, whose gradient is rounding noise, are left out."""
    first, second = one.task_vector.dense, other.task_vector.dense
    assert first.keys() == second.keys()
    return max(float((first[n] - second[n]).abs().max()) for n in first if not n.endswith("key.bias"))


def largest(trained: Trained) -> float:
    return max(float(delta.abs().max()) for delta in trained.task_vector.dense.values())


def test_two_processes_train_the_model_of_one(steady_base, tmp_path, forks):
    one = finetune_on_gpus(**call(steady_base, tmp_path / "one"))
    two = finetune_on_gpus(**call(steady_base, tmp_path / "two", gpus=2))
    assert (one.history["processes"], two.history["processes"]) == (1, 2)
    assert one.history["steps"] == two.history["steps"] == 18
    assert one.history["best_validation_accuracy"] == two.history["best_validation_accuracy"]
    losses = [[e["loss"] for e in t.history["log"] if "loss" in e] for t in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    assert largest_difference(one, two) < 1e-3 * largest(one)


def test_accumulated_batches_train_the_model_of_whole_ones(steady_base, tmp_path):
    whole = finetune_on_gpus(**call(steady_base, tmp_path / "whole"))
    halves = finetune_on_gpus(**call(steady_base, tmp_path / "halves", batch_size=2, gradient_accumulation=2))
    assert whole.history["steps"] == halves.history["steps"]
    assert largest_difference(whole, halves) < 1e-3 * largest(whole)


def test_a_training_that_diverges_is_the_same_error(steady_base, tmp_path, forks):
    absurd = {"learning_rate": 1e30, "max_grad_norm": 1e30, "warmup": 0}
    with pytest.raises(TrainingFailed, match="training diverged"):
        finetune_on_gpus(**call(steady_base, tmp_path, gpus=2, **absurd))


def test_an_error_of_a_process_is_an_error_of_the_job(tmp_path, capfd, forks):
    with pytest.raises(XlmergeError, match="one of 2 processes that train together failed"):
        finetune_on_gpus(**call(tmp_path / "no base", tmp_path, gpus=2))
    assert "no base" in capfd.readouterr().err


def test_fewer_gpus_than_asked_for_is_said_at_once(steady_base, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(XlmergeError, match=r"finetune\.gpus is 2, but this job sees 1"):
        finetune_on_gpus(**call(steady_base, tmp_path, gpus=2))


def test_batches_must_be_shared_evenly():
    with pytest.raises(ValueError, match="batch_size 4 is not a multiple of gpus 3"):
        Finetune(batch_size=4, gpus=3)


def test_a_kill_leaves_no_process_and_a_rerun_goes_on(steady_base, tmp_path, forks):
    long = {"gpus": 2, "epochs": 6}
    scratch = tmp_path / "killed"
    pd.to_pickle(call(steady_base, scratch, **long), tmp_path / "call")
    job = subprocess.Popen([PYTHON, "-c", IN_A_PROCESS, str(tmp_path / "call")], stderr=subprocess.DEVNULL)
    while not list(scratch.glob("checkpoint-*/trainer_state.json")):
        assert job.poll() is None, "the training ended before it could be killed"
        time.sleep(0.02)
    job.send_signal(signal.SIGKILL)
    job.wait()
    deadline = time.monotonic() + 20
    while processes := _processes_of(scratch):
        assert time.monotonic() < deadline, f"still there: {processes}"
        time.sleep(0.1)
    assert not (scratch / "result.pickle").exists()
    resumed = finetune_on_gpus(**call(steady_base, scratch, **long))
    undisturbed = finetune_on_gpus(**call(steady_base, tmp_path / "whole", **long))
    assert largest_difference(resumed, undisturbed) == 0


def _processes_of(scratch: Path) -> list[str]:
    """Return the command lines of running processes that train in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        found += [" ".join(map(bytes.decode, words))] if str(scratch).encode() in words else []
    return found
