"""θ₀ of a run: encoder and seeded head."""

from typing import Any

from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.models.base import build_base
from workflow_scripts.models.checkpoints import base_digest


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the folder and its digest; say which commit a hub id stood for."""
    base = settings["base"]
    commit = build_base(base["name"], base["revision"], settings["labels"], base["head_seed"], outputs["model"])
    write_digest(outputs["digest"], base_digest(outputs["model"]))
    return {"commit": commit} if commit else {}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
