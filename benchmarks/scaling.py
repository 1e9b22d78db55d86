"""What grows how with the number of locales: ``python -m benchmarks.scaling``; hours of planning above 100 locales.

For each number of locales: a study of 8 methods, 2 similarities, with and without the target's own model, on stub
files. Planning is measured with nothing made yet, with everything made, and after one locale's data changed. Then, with
results of the real size (MASSIVE's 2 974 and 2 033 sentences, 60 intents, random scores), a sample of each job that
grows: a row is written, and a target evaluated, all of whose rows are the one that was written.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.planning import DRY_RUN, PLAN, call, jobs_in, write_data, write_stubs
from workflow_scripts import evaluate_target
from workflow_scripts.analysis.matrices import write_matrix
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.locales import all_locales
from workflow_scripts.core.study import Study
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.evaluation.packs import Scores, write_pack
from workflow_scripts.evaluation.row_outputs import write_row
from workflow_scripts.planning.jobs import Job, read_jobs

METHODS = ["average", "similarity", "task_arithmetic", "ties", "dare_ties", "della", "karcher", "model_stock"]
SIZES = {"test": 2974, "validation": 2033}  # sentences of a locale of MASSIVE
INTENTS = 60
ROOT = Path(__file__).resolve().parents[1]


def names(count: int) -> list[str]:
    """Return so many locales: known ones, then made-up ones."""
    made_up = [f"{a}{b}-XX" for a in "xqz" for b in map(chr, range(97, 123))]
    extra = [f"{name[:2]}-X{i}" for i in range(10, 99) for name in made_up]
    return (sorted(all_locales()) + made_up + extra)[:count]


def study_config(locales: int, methods: list[str]) -> dict[str, Any]:
    """Return the config of a study whose similarities need no language codes."""
    sweep = {"method": methods, "similarity_type": ["REAL", "NXN"], "include_target": [False, True]}
    return {
        "run": "scaling",
        "locales": names(locales),
        "labels": ["on", "off"],
        "data": {"provider": "local_files", "folder": "data"},
        "base": "tiny_encoder",
        "ablations": [{"name": "all", "fixed": {"num_languages": 5}, "sweep": sweep}],
    }


def measured(command: list[str]) -> dict[str, Any]:
    """Return wall and CPU seconds and peak memory of a command that must succeed, and of how many jobs it speaks."""
    start, peak, done = time.perf_counter(), 0, 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        while not done:
            peak = max(peak, resident_mb(process.pid))
            time.sleep(0.1)
            done, status, used = os.wait4(process.pid, os.WNOHANG)
        said.seek(0)
        text = said.read().decode(errors="replace")
    assert status == 0, text[-3000:]
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": peak,
        "jobs": jobs_in(text),
    }


def resident_mb(process: int) -> int:
    """Return the most memory that a process has had so far (`getrusage` would count its parent's before it started)."""
    status = Path(f"/proc/{process}/status").read_text()
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0]) // 1024 if found else 0


def timed(work: Callable[[], Any]) -> float:
    """Return the CPU seconds that a function takes."""
    start = time.process_time()
    work()
    return round(time.process_time() - start, 2)


def planning(config: dict[str, Any]) -> tuple[dict[str, Any], Study, list[Job]]:
    """Return what planning a study takes in three states, the study, and all its jobs."""
    found: dict[str, Any] = {"from scratch": measured(DRY_RUN)}
    read = read_jobs(["--configfile", "run.yaml"])
    assert read is not None
    write_stubs(*read)
    measured([*call("-m", "snakemake", "--touch", "--quiet"), "--cores", "1"])
    found["nothing due"] = measured(DRY_RUN)
    with open(f"data/{config['locales'][0]}.jsonl", "a") as data:
        data.write("\n" + json.dumps({"text": "more", "label": "on", "split": "train"}))
    found["one locale changed"] = measured(DRY_RUN)
    found["one locale changed, make plan"] = measured(PLAN)
    return found, *read


def random_scores(count: int) -> Scores:
    """Return the scores of so many sentences."""
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(count, INTENTS)).astype(np.float32)
    return Scores.of(logits, draw.integers(INTENTS, size=count))


def samples(study: Study, jobs: list[Job]) -> dict[str, Any]:
    """Return what one row, one target's evaluation and the plan take on disk and in time."""
    locales, paths = study.run.locales, study.paths
    scores = {split: random_scores(count) for split, count in SIZES.items()}
    outputs = {key: f"sample/{key}" for key in ("test", "validation", "cells", "digest")}
    packs = {split: dict.fromkeys(locales, s) for split, s in scores.items()}
    row_seconds = timed(lambda: write_row(outputs, packs, locales[0], 0, locales))
    write_pack("sample/cell", {"cell": scores["test"]})
    write_pack("sample/cell_validation", {"cell": scores["validation"]})
    job = next(j for j in jobs if j.rule == "evaluate")
    assert job.settings is not None
    inputs, settings = _evaluation_inputs(job, study, scores), job.settings
    tables = {key: f"sample/evaluation.{key}" for key in ("table", "correct")}
    evaluate_seconds = timed(lambda: evaluate_target.main(inputs, tables, settings, 1))
    return {
        "row_mb": round(sum(Path(outputs[s]).stat().st_size for s in SIZES) / 1e6, 1),
        "cell_mb": round(sum(Path(f"sample/{n}").stat().st_size for n in ("cell", "cell_validation")) / 1e6, 2),
        "row_seconds": row_seconds,
        "evaluate_seconds": evaluate_seconds,
        "evaluation_mb": round(sum(Path(f).stat().st_size for f in tables.values()) / 1e6, 2),
        "plan_mb": round(Path(paths.plan).stat().st_size / 1e6, 1),
        "files": sum(len(job.files) for job in jobs),
    }


def _evaluation_inputs(job: Job, study: Study, scores: dict[str, Scores]) -> dict[str, Any]:
    """Return an evaluation's inputs at their real size."""
    assert job.settings is not None
    locales, count = study.run.locales, SIZES["test"]
    labels = np.random.default_rng(0).integers(INTENTS, size=count)
    numbers = [str(i) for i in range(count)]
    table = pd.DataFrame({"id": numbers, "text": numbers, "label": labels, "cluster": numbers})
    write_examples(table, "sample/table.parquet")
    write_digest("sample/table.digest", examples_digest(table))
    merges = [*job.settings["experiments"], *job.settings["baselines"]]
    write_pack("sample/merges", dict.fromkeys(merges, scores["test"]))
    write_pack("sample/merges_validation", dict.fromkeys(merges, scores["validation"]))
    values = np.random.default_rng(1).uniform(size=(len(locales), len(locales)))
    write_matrix(pd.DataFrame(values, locales, locales).rename_axis("model"), "sample/matrix.csv")
    return {
        "plan": study.paths.plan,
        "table": "sample/table.parquet",
        "table_digest": "sample/table.digest",
        "rows": ["sample/test"] * len(locales),
        "validation_matrices": ["sample/matrix.csv"],
        "merges": ["sample/merges"],
        "merges_validation": ["sample/merges_validation"],
    }


def main() -> None:
    """Measure and print one JSON object per study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locales", type=int, nargs="+", default=[8, 16, 32, 49, 100, 200])
    parser.add_argument("--methods", type=int, default=len(METHODS), help="so many methods, 4 experiments each")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    for count in options.locales:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            config = study_config(count, METHODS[: options.methods])
            Path("run.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
            write_data(Path("data"), config["locales"])
            states, study, jobs = planning(config)
            figures = {"locales": count, "experiments": len(study.experiments), "planning": states}
            print(json.dumps({**figures, **samples(study, jobs)}), flush=True)
            os.chdir(ROOT)


if __name__ == "__main__":
    main()
