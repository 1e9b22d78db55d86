"""Seconds that planning takes, on the 49-locale study with stub files: ``python -m benchmarks.planning``.

The study has 8 methods, 2 similarities, with and without the target's own model, and one seed: 32 experiments, 1 568
merges. Measured are ``snakemake -n`` and ``xlmerge plan`` in three states: nothing made yet, everything made, and one
locale's data changed. ``--profile FILE`` keeps a cProfile of the dry run with everything made.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.jobs import select_sources
from workflow_scripts.languages.locales import all_locales
from workflow_scripts.planning.jobs import Job, read_jobs
from workflow_scripts.study.study import Study

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train", "validation", "test")
METHODS = ["average", "similarity", "task_arithmetic", "ties", "dare_ties", "della", "slerp", "model_stock"]


def study_config(locales: int) -> dict[str, Any]:
    """Return the config of the study on files of one sentence per locale and split."""
    return {
        "run": "planning",
        "locales": sorted(all_locales())[:locales],
        "labels": ["on", "off"],
        "data": {"provider": "local_files", "folder": "data"},
        "base": "tiny_encoder",
        "ablations": [
            {
                "name": "all",
                "fixed": {"num_languages": 2},
                "sweep": {"method": METHODS, "similarity_type": ["URIEL", "NXN"], "include_target": [False, True]},
            }
        ],
    }


def write_data(folder: Path, locales: list[str]) -> None:
    """Write the data, older than everything that follows."""
    folder.mkdir()
    for locale in locales:
        lines = [json.dumps({"text": f"{locale} {s}", "label": "on", "split": s}) for s in SPLITS]
        (folder / f"{locale}.jsonl").write_text("\n".join(lines))


def write_stubs(study: Study, jobs: list[Job]) -> None:
    """Put a stub at every output, in the order of the jobs; matrices are real, and so is the plan made of them."""
    locales, draw = study.run.locales, random.Random(0)
    matrices = {study.paths.seed_matrix_validation.format(seed=s) for s in study.run.seeds}
    matrices |= {study.paths.similarity.format(measure=m, seed=s) for m in study.measures for s in study.run.seeds}
    for job in jobs:
        for file in map(Path, job.files):
            file.parent.mkdir(parents=True, exist_ok=True)
            if file == Path(study.paths.base):
                file.mkdir(exist_ok=True)
            elif str(file) in matrices:
                values = "".join(f"{name},{','.join(str(draw.random()) for _ in locales)}\n" for name in locales)
                file.write_text(f"model,{','.join(locales)}\n{values}")
            else:
                file.write_text("{}\n")  # what a sidecar without facts says
        if job.rule == "select":
            assert job.settings is not None
            select_sources.main(job.inputs, job.outputs, job.settings, 1)


def call(*words: str) -> list[str]:
    """Return a command of this project's Snakemake."""
    return [sys.executable, *words, "--snakefile", str(ROOT / "Snakefile"), "--configfile", "run.yaml"]


DRY_RUN = call("-m", "snakemake", "-n")
PLAN = [str(Path(sys.executable).with_name("xlmerge")), "plan", "--configfile", "run.yaml"]


def timed(command: list[str], repeats: int) -> dict[str, Any]:
    """Return the median wall and CPU time of a command, and how many jobs it speaks of."""
    wall, cpu, said = [], [], ""
    for _ in range(repeats):
        start, busy = time.perf_counter(), cpu_of_children()
        said = run(command)
        wall.append(time.perf_counter() - start)
        cpu.append(cpu_of_children() - busy)
    medians = {"seconds": statistics.median(wall), "cpu_seconds": statistics.median(cpu)}
    return {**{name: round(value, 2) for name, value in medians.items()}, "jobs": jobs_in(said)}


def run(command: list[str]) -> str:
    """Return what a command that must succeed says."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def cpu_of_children() -> float:
    """Return the CPU seconds of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def jobs_in(said: str) -> int:
    """Return the number of jobs that a dry run or a plan speaks of."""
    totals = [line.split()[1] for line in said.splitlines() if line.split()[:1] in (["total"], ["sum"])]
    return int(totals[0]) if totals else 0


def main() -> None:
    """Measure and print one JSON object per state."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locales", type=int, default=49)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    profile = options.profile.resolve() if options.profile else None
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        config = study_config(options.locales)
        Path("run.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        write_data(Path("data"), config["locales"])
        report("from scratch", options.repeats)
        found = read_jobs(["--configfile", "run.yaml"])
        assert found is not None
        write_stubs(*found)
        run([*call("-m", "snakemake", "--touch", "--quiet"), "--cores", "1"])  # as if the jobs had made the stubs
        report("nothing due", options.repeats)
        if profile:
            run(call("-m", "cProfile", "-o", str(profile), "-m", "snakemake", "-n"))
        with open(f"data/{config['locales'][0]}.jsonl", "a") as data:
            data.write("\n" + json.dumps({"text": "more", "label": "on", "split": "train"}))
        report("one locale changed", options.repeats)
        os.chdir(ROOT)


def report(state: str, repeats: int) -> None:
    """Measure the dry run and the plan in the present state."""
    figures = {"state": state, "dry_run": timed(DRY_RUN, repeats), "plan": timed(PLAN, repeats)}
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
