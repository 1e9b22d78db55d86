"""Wall times of whole runs, from the user's side: ``python benchmarks/workflow.py smoke demo``.

Each run happens in a temporary folder. The floor of a run is the wall time of its jobs' work divided by the cores; the
ratio says what starting processes and planning add to it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = {"demo": "config.yaml", "smoke": "presets/smoke.yaml", "tiny": "presets/tiny.yaml"}


def main() -> None:
    """Measure the runs named on the command line and print one JSON object per run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", choices=list(RUNS), default=["tiny"])
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    for name in options.runs:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(name, Path(folder), options.cores)), flush=True)


def measure(name: str, folder: Path, cores: int) -> dict[str, float | str]:
    """Return the seconds of a dry run, of the run, and of a second run that finds nothing to do."""
    seconds = {"dry_run": timed(name, folder, cores, "-n"), "run": timed(name, folder, cores)}
    seconds["nothing_to_do"] = timed(name, folder, cores)
    floor = sum(job_seconds(folder / "results")) / cores
    return {
        "run": name,
        **{k: round(v, 1) for k, v in seconds.items()},
        "floor": round(floor, 1),
        "ratio_to_floor": round(seconds["run"] / floor, 2),
    }


def timed(name: str, folder: Path, cores: int, *flags: str) -> float:
    """Return the wall time of one Snakemake call that must succeed."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--configfile", str(ROOT / RUNS[name]), "--cores", str(cores), *flags],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


def job_seconds(results: Path) -> list[float]:
    """Return the wall time of every job that left a sidecar."""
    found = [json.loads(p.read_text(encoding="utf-8")) for p in results.rglob("*.json")]
    return [s["cost"]["wall_seconds"] for s in found if isinstance(s, dict) and "cost" in s]


if __name__ == "__main__":
    main()
