"""A user's own model in the place of a training."""

from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.job import run_job


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the task vector, its digest and what was found out about the model."""
    from workflow_scripts.checkpoints.conversion import import_model

    digest, report = import_model(inputs, settings, outputs["model"])
    write_json(outputs["training"], report)
    write_digest(outputs["digest"], digest)
    return {"imported": True}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
