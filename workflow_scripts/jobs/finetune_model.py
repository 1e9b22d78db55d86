"""One locale's model: a lookup if this very training was done before, else a fine-tune."""

from typing import Any

from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.core.locks import turn
from workflow_scripts.models.model_cache import training_cache


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the task vector, its digest and the training history."""
    data = {name: read_digest(inputs[f"{name}_digest"]) for name in ("base", "train", "validation")}
    cache = training_cache(settings, data)
    with turn(cache.lock):  # the same training may still go on in a cluster job whose Snakemake was killed
        trained = not cache.restore(outputs)
        if trained:
            watch = Stopwatch()
            from workflow_scripts.models.train_job import train

            train(inputs, settings, data["base"], cache, threads, watch)
            cache.restore(outputs)
    return {"trained": trained, "making_cost": cache.making_cost(), "cache_entries": [cache.key]}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
