"""The one checkpoint: sources and weights of all merges."""

from typing import Any

from workflow_scripts.analysis.matrices import read_matrix
from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.job import run_job
from workflow_scripts.selection.plan import build_plan


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the plan."""
    keys = [(name, seed) for name in sorted(settings["tiers"]) for seed in settings["seeds"]]
    matrices = {key: read_matrix(path).to_dict("index") for key, path in zip(keys, inputs["similarities"], strict=True)}
    plan = build_plan(settings["experiments"], settings["seeds"], matrices, settings["tiers"], settings["groups"])
    write_json(outputs["plan"], plan)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
