"""Deletes what the cache holds and no present result is made of, and what killed jobs left behind."""

import json
from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import remove
from workflow_scripts.core.job import run_job
from workflow_scripts.core.locks import clear
from workflow_scripts.core.messages import say

KEPT_AT = {"models": "*", "measurements": "*", "training": "*", "cells": "*/*", "merges": "*", "tokens": "*"}


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Keep the entries that the sidecars of the run's results name, and trainings that still go on somewhere."""
    cache = Path(settings["cache"])
    sidecars = [json.loads(p.read_text(encoding="utf-8")) for p in map(Path, settings["sidecars"]) if p.exists()]
    used = {entry for sidecar in sidecars for entry in sidecar["cache_entries"]}
    running = {lock.stem for lock in sorted((cache / "locks").glob("*.lock")) if not clear(lock)}
    found = [p for kind, pattern in KEPT_AT.items() for p in (cache / kind).glob(pattern) if p.name[0] != "."]
    unused = [p for p in found if p.name not in used | running]
    unused += [p for p in cache.parent.rglob(".*.tmp") if p.name.split(".")[1] not in running]  # left by killed jobs
    size = sum(f.stat().st_size for p in unused for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file())
    for path in unused:
        remove(path)
    say(f"pruned {len(unused)} of {len(found)} cache entries, {size / 1e6:.1f} MB")


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
