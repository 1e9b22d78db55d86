"""Time and memory of every data-free merge method on checkpoints made on the spot.

``python -m benchmarks.merge`` makes five task vectors of XLM-R base's size (random, 6 GB in a temporary folder, deleted
after), measures the floor (read all sources once, write once) and merges them with each method in a process of its own.
With ``--mergekit-python PYTHON``, an interpreter that has mergekit, the same models are merged by mergekit as well.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.merge_models import shapes_of, write_checkpoint, write_random
from benchmarks.merge_workers import MERGEKIT
from workflow_scripts.core import registry

ROOT = Path(__file__).resolve().parents[1]
WITH_DATA = {"fisher", "regmean", "adamerging"}


def in_process(python: str, job: dict) -> dict | str:
    """Return a job's figures, or the last line of its error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [python, "-m", "benchmarks.merge_workers", json.dumps(job)]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1])


def make(options: argparse.Namespace, folder: Path) -> dict:
    """Make the sources and return what all jobs need to know."""
    size = (options.vocabulary, options.hidden, options.layers)
    shapes = shapes_of(*size)
    paths = [folder / f"{i}.safetensors" for i in range(options.sources)]
    for i, path in enumerate(paths):
        write_random(path, shapes, i, 1e-3)
    base, models = folder / "base", [folder / f"model{i}" for i in range(options.sources)]
    if options.mergekit_python:
        write_checkpoint(base, shapes, size, 100, None)
        for i, model in enumerate(models):
            write_checkpoint(model, shapes, size, i, base / "model.safetensors")
    job = {"shapes": shapes, "layers": options.layers, "out": str(folder / "out"), "base": str(base)}
    return job | {"paths": [str(p) for p in paths], "models": [str(m) for m in models], "repeat": options.repeat}


def measure(options: argparse.Namespace, made: dict) -> list[dict]:
    """Return one row per method."""
    rows, floors = [], {}
    for method in options.methods or sorted(set(registry.names("merge method")) - WITH_DATA):
        k = 2 if method == "slerp" else options.sources
        job = {**made, "method": method, "paths": made["paths"][:k], "models": made["models"][:k]}
        if k not in floors:
            floors[k] = in_process(sys.executable, {**job, "worker": "floor", "repeat": 3})["seconds"]
        row = {"method": method, "sources": k, "floor": floors[k], "mergekit": None}
        row["xlmerge"] = in_process(sys.executable, {**job, "worker": "xlmerge"})
        if options.mergekit_python and method in MERGEKIT:
            row["mergekit"] = in_process(options.mergekit_python, {**job, "worker": "mergekit", "repeat": 1})
        rows.append(row)
        print(line(row), flush=True)
    return rows


def line(row: dict) -> str:
    """Return a row of the table."""
    ours, theirs = row["xlmerge"], row["mergekit"]
    if isinstance(ours, str):
        return f"| {row['method']} | {ours} |"
    text = (
        f"| {row['method']} | {ours['seconds']:.1f} | {ours['gigabytes']:.2f} | {ours['seconds'] / row['floor']:.1f} |"
    )
    if not isinstance(theirs, dict):
        return f"{text} {theirs or '–'} | – | – |"
    return f"{text} {theirs['seconds']:.1f} | {theirs['gigabytes']:.1f} | {theirs['seconds'] / ours['seconds']:.0f} |"


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=250_002)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--sources", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=2, help="the best wall time of so many runs")
    parser.add_argument("--methods", nargs="*", help="default: all that need no data")
    parser.add_argument("--folder", help="where the temporary folder is made")
    parser.add_argument(
        "--mergekit-python", help="an interpreter that has mergekit; 6 GB more on disk, 18 GB of memory"
    )
    parser.add_argument("--json", type=Path, default=Path("benchmarks/merge.json"))
    return parser.parse_args()


def main() -> None:
    """Run the benchmark, print the table and write the JSON."""
    options = arguments()
    if not options.mergekit_python:
        print("mergekit is not measured: give --mergekit-python", file=sys.stderr)
    print(
        "| method | wall s | peak GB | × floor | mergekit wall s | peak GB | × xlmerge |\n|:--|--:|--:|--:|--:|--:|--:|"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = measure(options, make(options, Path(folder)))
    print("floor: " + ", ".join(f"{k} sources {s:.2f} s" for k, s in {r["sources"]: r["floor"] for r in rows}.items()))
    options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
