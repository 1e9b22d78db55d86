"""One machine with several GPUs: each job takes one that no other job has."""

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from tests.conftest import ROOT, preset, snakemake, succeeded

LOCALES = preset("tiny")["locales"]
HOLD = """
import sys, time
from workflow_scripts.core.gpus import claim_gpus
gpu = claim_gpus(int(sys.argv[1]))
start = time.monotonic()
time.sleep(0.5)
print(gpu, start, time.monotonic(), flush=True)
"""


def environment(devices: str | None, folder: Path) -> dict[str, str]:
    cleared = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    chosen = {} if devices is None else {"CUDA_VISIBLE_DEVICES": devices}
    return {**cleared, **chosen, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}


def claims(number: int, devices: str | None, folder: Path, each: int = 1) -> list[tuple[str, float, float]]:
    """Start processes that hold GPUs for a while; return each one's GPUs, start and end."""
    command = [sys.executable, "-c", HOLD, str(each)]
    processes = [
        subprocess.Popen(command, env=environment(devices, folder), stdout=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    fields = [process.communicate(timeout=60)[0].split() for process in processes]
    return [(gpu, float(start), float(end)) for gpu, start, end in fields]


def test_a_gpu_has_one_holder_at_a_time(tmp_path: Path) -> None:
    held = claims(5, "2, GPU-5d3f", tmp_path)
    assert {gpu for gpu, *_ in held} == {"2", "GPU-5d3f"}
    for gpu in ("2", "GPU-5d3f"):
        spans = sorted((start, end) for g, start, end in held if g == gpu)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans)), spans


def test_several_gpus_are_held_together_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    held = claims(4, "0,1,2", tmp_path, each=2)
    spans = sorted((start, end) for _, start, end in held)
    assert all(len(set(gpus.split(","))) == 2 for gpus, *_ in held)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans)), "three GPUs are enough for one of them only"


def test_without_a_gpu_nobody_waits(tmp_path: Path) -> None:
    assert [gpu for gpu, *_ in claims(2, "", tmp_path)] == ["None", "None"]


def test_trainings_are_spread_over_the_gpus(tiny_copy: Path, tmp_path: Path) -> None:
    results = tiny_copy / "results" / "tiny"
    shutil.rmtree(results / "models")
    shutil.rmtree(results / "cache" / "models")
    arguments = ["models", "--profile", str(ROOT / "profiles" / "workstation"), "--resources", "gpu=2", "--cores", "2"]
    succeeded(snakemake(tiny_copy, preset("tiny"), *arguments, environment=environment("4,7", tmp_path), true=True))
    sidecars = [json.loads((results / "models" / x / "seed0/model.json").read_text()) for x in LOCALES]
    assert all(sidecar["computed"] for sidecar in sidecars)
    assert {sidecar["cost"]["gpu"] for sidecar in sidecars} == {"4", "7"}
