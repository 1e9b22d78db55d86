"""All merges of one target and seed: stream the sources' weights together, score the target, keep the logits."""

from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.digests import digest_of, write_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.packs import SPLITS, write_pack
from workflow_scripts.merging.merge_cells import MergeJob


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Merge and score what the cache lacks, and write one pack per split with an entry per experiment."""
    job = MergeJob(inputs, settings)
    job.complete(threads)
    packs, facts = job.results()
    for split in SPLITS:
        write_pack(outputs[split], packs[split])
    write_json(outputs["facts"], facts)
    digests = {split: {name: s.digest() for name, s in packs[split].items()} for split in SPLITS}
    write_digest(outputs["digest"], digest_of([digests, facts]))
    return {"merges": len(facts), "distinct": len(set(job.identities.values())), "precision": job.precision}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
