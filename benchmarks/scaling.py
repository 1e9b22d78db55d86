"""What grows how with the number of locales: ``python -m benchmarks.scaling planning|full|sample --locales 8 16 …``.

- ``planning``: a dry run and ``make plan`` of a study of 32 experiments on stub files, with nothing made yet, with
  everything made, and after one locale's data changed.
- ``full``: the rehearsal of the 49-locale study, with some of its locales, from start to end: small data, a two-layer
  encoder, all jobs. About a quarter of an hour on two cores for 49.
- ``sample``: results made up at a chosen size, and on them the jobs that read N or N² things.
"""

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.made_up import Sample
from benchmarks.planning import DRY_RUN, PLAN, call, jobs_in, write_data, write_stubs
from benchmarks.processes import Watched, measured, sizes, watch
from tests.conftest import ROOT, command, preset
from tests.rehearsal import rehearsal_config, write_rehearsal
from workflow_scripts.languages.locales import all_locales
from workflow_scripts.planning.jobs import read_jobs

METHODS = ["average", "similarity", "task_arithmetic", "ties", "dare_ties", "della", "karcher", "model_stock"]


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


def planning(count: int, _: argparse.Namespace) -> None:
    """Print what planning a study takes in three states, in the working directory."""
    config = study_config(count, METHODS)
    Path("run.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    write_data(Path("data"), config["locales"])
    found: dict[str, Any] = {"from scratch": planned(DRY_RUN)}
    read = read_jobs(["--configfile", "run.yaml"])
    assert read is not None
    write_stubs(*read)
    measured([*call("-m", "snakemake", "--touch", "--quiet"), "--cores", "1"])
    found["nothing due"] = planned(DRY_RUN)
    with open(f"data/{config['locales'][0]}.jsonl", "a") as data:
        data.write("\n" + json.dumps({"text": "more", "label": "on", "split": "train"}))
    found["one locale changed"] = planned(DRY_RUN)
    found["one locale changed, make plan"] = planned(PLAN)
    study, jobs = read
    facts = {
        "experiments": len(study.experiments),
        "plan_mb": round(Path(study.paths.plan).stat().st_size / 1e6, 1),
        "files": sum(len(job.files) for job in jobs),
    }
    print(json.dumps({"locales": count, **facts, "planning": found}), flush=True)


def planned(words: list[str]) -> dict[str, Any]:
    """Return what a command that plans takes, and of how many jobs it speaks."""
    found = measured(words)
    jobs = jobs_in(found.pop("said"))
    return {**found, "jobs": jobs}


def some_locales(count: int) -> list[str]:
    """Return so many of the 49-locale study's locales, spread over the list, English among them."""
    config = preset("massive")
    others = [locale for locale in config["locales"] if locale != config["pivot"]]
    chosen = {others[i * len(others) // (count - 1)] for i in range(count - 1)} | {config["pivot"]}
    return [locale for locale in config["locales"] if locale in chosen]


def full(count: int, options: argparse.Namespace) -> None:
    """Print, as a table, what each stage of a whole run takes in the working directory."""
    config = rehearsal_config(some_locales(count))
    write_rehearsal(Path.cwd(), config["locales"])
    words = command(Path.cwd(), config, cores=options.cores)
    found = watch(words, Path.cwd(), {**os.environ, "COLUMNS": "200"})
    print(f"\n{count} locales, {options.cores} cores: {found.wall:.0f} s\n\n{stage_table(found)}\n")
    print(disk_table(Path("results/massive")), flush=True)


def stage_table(found: Watched) -> str:
    """Return what the entry points took, and Snakemake itself, as a Markdown table."""
    head = pd.DataFrame(
        [{"job": "Snakemake itself", "jobs": 1, "cpu_seconds": found.head[0], "peak_mb": found.head[1]}]
    )
    return str(pd.concat([found.table(), head]).to_markdown(index=False, floatfmt=".1f"))


def disk_table(folder: Path) -> str:
    """Return what a run's folders hold, as a Markdown table."""
    rows = [(name, round(size / 1e6, 1), files) for name, (size, files) in sizes(folder).items()]
    rows += [("Snakemake's records", *_records())]
    return str(pd.DataFrame(rows, columns=["folder", "MB", "files"]).to_markdown(index=False))


def _records() -> tuple[float, int]:
    size, files = (sum(values) for values in zip(*sizes(Path(".snakemake")).values(), strict=True))
    return round(size / 1e6, 1), files


def sample(count: int, options: argparse.Namespace) -> None:
    """Print, as a table, what the jobs that read N or N² things take on results that are made up."""
    random.seed(0)
    found = Sample(names(count), {"test": options.test, "validation": options.validation}).measure()
    table = pd.DataFrame(found).to_markdown(index=False)
    print(f"\n{count} locales, {options.test} and {options.validation} sentences\n\n{table}", flush=True)


MODES: dict[str, Callable[[int, argparse.Namespace], None]] = {"planning": planning, "full": full, "sample": sample}


def main() -> None:
    """Run a mode for every number of locales, each in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--locales", type=int, nargs="+", default=[8, 16, 32, 49])
    parser.add_argument("--cores", type=int, default=2, help="full: cores that Snakemake may use")
    parser.add_argument("--test", type=int, default=2974, help="sample: test sentences per locale")
    parser.add_argument("--validation", type=int, default=2033, help="sample: validation sentences per locale")
    parser.add_argument("--keep", type=Path, help="leave the files in this folder, one for each number of locales")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    kept = options.keep.resolve() if options.keep else None
    for count in options.locales:
        with contextlib.nullcontext(kept / str(count)) if kept else tempfile.TemporaryDirectory() as folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            os.chdir(folder)
            MODES[options.mode](count, options)
            os.chdir(ROOT)


if __name__ == "__main__":
    sys.exit(main())
