"""Deletes what the cache holds and no present result is made of, and what killed jobs left behind."""

from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import read_json, remove
from workflow_scripts.core.job import run_job
from workflow_scripts.core.locks import clear
from workflow_scripts.core.lookup import SHAPED_BY
from workflow_scripts.core.messages import say


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Keep the entries that the sidecars of the run's results name, and trainings that still go on somewhere."""
    cache = Path(settings["cache"])
    files = [*map(Path, settings["sidecars"]), *sorted(Path(settings["measurements"]).rglob("*.json"))]
    sidecars = [read_json(p) for p in files if p.exists()]
    used = {entry for sidecar in sidecars for entry in sidecar["cache_entries"]}
    running = {lock.stem for lock in sorted((cache / "locks").glob("*.lock")) if not clear(lock)}
    patterns = [*(f"{kind}/*/*" for kind in SHAPED_BY), "training/*"]
    found = [p for pattern in patterns for p in cache.glob(pattern) if p.name[0] != "."]
    unused = [p for p in found if p.name.split(".")[0] not in used | running]  # an entry, or the note of its making
    unused += [p for p in cache.parent.rglob(".*.tmp") if p.name.split(".")[1] not in running]  # left by killed jobs
    size = sum(f.stat().st_size for p in unused for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file())
    for path in unused:
        remove(path)
    names = ({p.name.split(".")[0] for p in paths} for paths in (set(unused) & set(found), found))
    say(f"pruned {' of '.join(str(len(keys)) for keys in names)} cache entries, {size / 1e6:.1f} MB")


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
