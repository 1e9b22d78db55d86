"""Time and memory of every data-free merge method on checkpoints made on the spot.

``python -m benchmarks.merge`` makes five task vectors and five checkpoints of XLM-R base's size (random, 13 GB in a
temporary folder, deleted after), measures the floors (read all sources, for checkpoints θ₀ as well, once; write once)
and merges them with each method in a process of its own: task vectors into a task vector, checkpoints into a
checkpoint. With ``--mergekit-python PYTHON``, an interpreter that has mergekit, the same checkpoints are merged by
mergekit as well.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.merge_models import shapes_of, write_checkpoint, write_random
from benchmarks.merge_workers import MERGEKIT, SPECIAL
from workflow_scripts.core import registry
from workflow_scripts.merging.method import load_method

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("xlmerge", "checkpoints")  # workers: task vectors into a task vector, checkpoints into a checkpoint


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
    write_checkpoint(base, shapes, size, 100, None)
    for i, model in enumerate(models):
        write_checkpoint(model, shapes, size, i, base / "model.safetensors")
    job = {"shapes": shapes, "layers": options.layers, "out": str(folder / "out"), "base": str(base)}
    return job | {"paths": [str(p) for p in paths], "models": [str(m) for m in models], "repeat": options.repeat}


def needs_data(method: str) -> bool:
    """Return whether a method needs data beside the weights."""
    return load_method(method, SPECIAL.get(method, {})).needs_data


def measure(options: argparse.Namespace, made: dict) -> list[dict]:
    """Return one row per method."""
    rows, floors = [], {}
    for method in options.methods or sorted(m for m in registry.names("merge method") if not needs_data(m)):
        k = 2 if method == "slerp" else options.sources
        job = {**made, "method": method, "paths": made["paths"][:k], "models": made["models"][:k]}
        if k not in floors:
            floors[k] = floors_of(job)
        row = {"method": method, "sources": k, "floor": floors[k], "mergekit": None}
        row["xlmerge"] = {w: in_process(sys.executable, {**job, "worker": w}) for w in COLUMNS}
        if options.mergekit_python and method in MERGEKIT:
            row["mergekit"] = in_process(options.mergekit_python, {**job, "worker": "mergekit", "repeat": 1})
        rows.append(row)
        print(line(row), flush=True)
    return rows


def floors_of(job: dict) -> dict[str, float]:
    """Return the seconds that reading and writing alone take: of the task vectors, and of the checkpoints with θ₀."""
    weights = [f"{folder}/model.safetensors" for folder in job["models"]]
    full = {**job, "paths": weights, "with_base": [f"{job['base']}/model.safetensors"]}
    jobs = zip(COLUMNS, (job, full), strict=True)
    return {c: in_process(sys.executable, {**j, "worker": "floor", "repeat": 3})["seconds"] for c, j in jobs}


def line(row: dict) -> str:
    """Return a row of the table."""
    theirs, cells = row["mergekit"], [row["method"]]
    for column, ours in row["xlmerge"].items():
        if isinstance(ours, str):
            cells += [ours, "–", "–"]
        else:
            cells += [
                f"{ours['seconds']:.1f}",
                f"{ours['gigabytes']:.2f}",
                f"{ours['seconds'] / row['floor'][column]:.1f}",
            ]
    full = row["xlmerge"]["checkpoints"]
    if isinstance(theirs, dict) and isinstance(full, dict):
        cells += [
            f"{theirs['seconds']:.1f}",
            f"{theirs['gigabytes']:.1f}",
            f"{theirs['seconds'] / full['seconds']:.0f}",
        ]
    else:
        cells += [theirs or "–", "–", "–"]
    return f"| {' | '.join(map(str, cells))} |"


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
    parser.add_argument("--mergekit-python", help="an interpreter that has mergekit; it needs 18 GB of memory")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/merge.json"))
    return parser.parse_args()


def main() -> None:
    """Run the benchmark, print the table and write the JSON."""
    options = arguments()
    if not options.mergekit_python:
        print("mergekit is not measured: give --mergekit-python", file=sys.stderr)
    columns = [f"{c} wall s | peak GB | × floor" for c in ("task vectors", "checkpoints")]
    print(f"| method | {' | '.join(columns)} | mergekit wall s | peak GB | × xlmerge |\n|:--|{'--:|' * 9}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = measure(options, make(options, Path(folder)))
    for k, floor in {r["sources"]: r["floor"] for r in rows}.items():
        print(f"floor, {k} sources: task vectors {floor['xlmerge']:.2f} s, checkpoints {floor['checkpoints']:.2f} s")
    options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
