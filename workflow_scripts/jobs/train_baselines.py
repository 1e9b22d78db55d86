"""Baselines of one target and seed that are trained rather than merged."""

from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.digests import digest_of, write_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.packs import write_pack
from workflow_scripts.merging.trained_baselines import TrainedBaselines


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Train and score what the cache lacks, and write one pack with an entry per model."""
    job = TrainedBaselines(inputs, settings)
    job.complete(threads)
    scores, facts = job.results()
    write_pack(outputs["test"], scores)
    write_json(outputs["facts"], facts)
    write_digest(outputs["digest"], digest_of([{name: s.digest() for name, s in scores.items()}, facts]))
    return {"models": len(facts)}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
