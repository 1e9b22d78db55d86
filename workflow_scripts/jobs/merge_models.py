"""All merges of one target and seed: stream the sources' weights together, score the target, keep the logits."""

from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.digests import digest_of, write_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.packs import SPLITS, write_pack
from workflow_scripts.merging.merge_cells import MergeJob


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Merge and score what the cache lacks; write a pack per split with an entry per experiment, and what failed."""
    job = MergeJob(inputs, settings)
    job.complete(threads)
    packs, facts = job.results()
    for split in SPLITS:
        write_pack(outputs[split], packs[split])
    write_json(outputs["facts"], facts)
    about = {"target": settings["target"], "seed": settings["seed"]}
    write_json(outputs["failures"], {**about, "failed": job.failures})
    digests = {split: {name: s.digest() for name, s in packs[split].items()} for split in SPLITS}
    write_digest(outputs["digest"], digest_of([digests, facts]))
    distinct = len({fact["identity"] for fact in facts.values()})
    return {"merges": len(facts), "distinct": distinct, "failed": len(job.failures), "precision": job.precision}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
