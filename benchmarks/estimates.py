"""How far estimates from rates alone are from what a finished run took.

``python -m benchmarks.estimates --device cpu results/demo`` for the default run; for another one add its
``--configfile``. The plan is made in an empty folder, so that nothing of the run but the number of its sentences is
known to it; what jobs took is in their sidecars. Rules without sidecars are left out.
"""

import argparse
import json
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.xlm_r import table
from workflow_scripts.planning.forecast import forecast
from workflow_scripts.planning.jobs import Job, read_jobs
from workflow_scripts.planning.model import SUBMITTED, Model, host_mb
from workflow_scripts.planning.sizes import find_data, find_encoder
from workflow_scripts.planning.totals import NEEDED
from workflow_scripts.planning.work import count_work

MEMORY = "memory, estimate / peak"


def costs_of(jobs: list[Job], root: str, folder: Path) -> list[dict[str, float]]:
    """Return what making the results of some jobs took, by their sidecars in a finished run's folder."""
    infos = [folder / Path(job.outputs["info"]).relative_to(root) for job in jobs if "info" in job.outputs]
    sidecars = [json.loads(info.read_text(encoding="utf-8")) for info in infos if info.exists()]
    return [sidecar.get("making_cost", sidecar["cost"]) for sidecar in sidecars]


def compare(config: list[str], device: str, folder: Path) -> list[dict[str, Any]]:
    """Return a row per rule, and one for all of them."""
    with tempfile.TemporaryDirectory() as empty:
        found = read_jobs([*config, "--directory", empty])
    assert found is not None
    study, jobs = found
    data = find_data(study, str(folder / Path(study.paths.examples_info).relative_to(study.paths.root)))
    encoder = find_encoder(study)
    assert data is not None and encoder is not None
    model = Model(study, encoder, data, device)
    by_rule = {rule: list(group) for rule, group in groupby(jobs, key=lambda job: job.rule) if rule in SUBMITTED}
    stages = forecast(by_rule, count_work(jobs, study), device, model)
    rows = []
    for rule, group in by_rule.items():
        costs, estimate = costs_of(group, study.paths.root, folder), stages[rule].estimate
        if costs and estimate:
            took = sum(cost["wall_seconds"] for cost in costs)
            peak = max(cost["peak_memory_mb"] for cost in costs)
            rows.append(line(rule, len(costs), estimate.seconds * len(costs) / len(group), took))
            rows[-1][MEMORY] = f"{host_mb(model, rule) / peak:.2f}" if rule in NEEDED else "–"
    seconds = ["estimate, s", "took, s"]
    total = line("all", sum(row["jobs"] for row in rows), *(sum(row[key] for row in rows) for key in seconds))
    return [*rows, {**total, MEMORY: "–"}]


def line(rule: str, jobs: int, estimate: float, took: float) -> dict[str, Any]:
    """Return a row of the table."""
    times = {"estimate, s": round(estimate), "took, s": round(took), "estimate / took": f"{estimate / took:.2f}"}
    return {"rule": rule, "jobs": jobs, **times}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a finished run, such as results/demo")
    parser.add_argument("--configfile", type=Path)
    parser.add_argument("--device", choices=["cpu", "gpu"], required=True, help="what the run was made on")
    options = parser.parse_args()
    config = ["--configfile", str(options.configfile.resolve())] if options.configfile else []
    print(table(compare(config, options.device, options.folder.resolve())))


if __name__ == "__main__":
    main()
