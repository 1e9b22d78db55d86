"""Seconds that a job costs beyond its work: ``python -m benchmarks.overhead``; as root with Slurm for all of it.

The jobs are rows of the tiny preset. A row whose cells are cached imports no torch and looks its result up; one without
cached cells imports torch and scores a few sentences with a two-layer encoder in a few hundredths of a second. Local
jobs run one after the other; their share is the wall time beyond that of a call with nothing to do. Through Slurm the
share is what a job occupies its node for, from the start of its script to its end.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.cluster.one_node_slurm import OneNodeSlurm, why_unavailable

ROOT = Path(__file__).resolve().parents[1]
SEEDS = [0, 1, 2]


class Spent(NamedTuple):
    """Wall and CPU seconds."""

    wall: float
    cpu: float


def snakemake(*words: str, environment: dict[str, str] | None = None) -> Spent:
    """Return what a call takes that must succeed, in the working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", "run.yaml"]
    start, busy = time.perf_counter(), cpu_of_children()
    subprocess.run([*command, *words], check=True, capture_output=True, env={**os.environ, **(environment or {})})
    return Spent(time.perf_counter() - start, cpu_of_children() - busy)


def cpu_of_children() -> float:
    """Return the CPU seconds of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(config: dict[str, Any]) -> list[str]:
    """Return the row digests, which stand for the row jobs."""
    return [f"results/tiny/nxn/rows/{x}/seed{n}/row.digest" for x in config["locales"] for n in config["seeds"]]


def forget(cells: bool) -> None:
    """Remove all rows, and their cells as well if wanted."""
    shutil.rmtree("results/tiny/nxn", ignore_errors=True)
    if cells:
        shutil.rmtree("results/tiny/cache/cells", ignore_errors=True)


def local(targets: list[str], cells: bool) -> dict[str, float]:
    """Return the seconds per local job."""
    forget(cells)
    busy, idle = (snakemake("--cores", "1", *targets) for _ in range(2))
    return {kind: round((getattr(busy, kind) - getattr(idle, kind)) / len(targets), 2) for kind in Spent._fields}


def submitted(cluster: OneNodeSlurm, targets: list[str], cells: bool) -> float:
    """Return the median seconds that a submitted job occupies its node."""
    forget(cells)
    before = {job["JobId"] for job in cluster.jobs()}
    profile = ["--profile", str(ROOT / "profiles/slurm"), "--slurm-init-seconds-before-status-checks", "5"]
    snakemake(*profile, "--jobs", "1", *targets, environment=cluster.environment)
    spans: dict[str, list[float]] = {}
    for event in cluster.events():
        if event.job not in before:
            spans.setdefault(event.job, []).append(event.time)
    assert len(spans) == len(targets), "not every row was a job"
    return statistics.median(max(times) - min(times) for times in spans.values())


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slurm-jobs", type=int, default=4, help="so many jobs go through Slurm, one at a time")
    options = parser.parse_args()
    config = {**yaml.safe_load((ROOT / "presets/tiny.yaml").read_text(encoding="utf-8")), "seeds": SEEDS}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("run.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        targets = rows(config)
        snakemake("--cores", "1", *targets)
        figures: dict[str, Any] = {"jobs": len(targets), "local": local(targets, False)}
        figures["local_with_torch"] = local(targets, True)
        reason = why_unavailable()
        if reason:
            figures["slurm"] = f"not measured: {reason}"
        else:
            with OneNodeSlurm() as cluster:
                some = targets[: options.slurm_jobs]
                figures["slurm"] = submitted(cluster, some, False)
                figures["slurm_with_torch"] = submitted(cluster, some, True)
        os.chdir(ROOT)
    print(json.dumps({k: round(v, 2) if isinstance(v, float) else v for k, v in figures.items()}))


if __name__ == "__main__":
    main()
