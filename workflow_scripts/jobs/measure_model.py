"""What a merge method wants to have measured on one source model, with one locale's sentences."""

from typing import Any

from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.models.model_cache import MEASUREMENT_FILES, ModelCache


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the measured values and their digest; a lookup if this very measurement was made before."""
    watch = Stopwatch()
    made_of = {name: read_digest(inputs[f"{name}_digest"]) for name in ("base", "model", "table")}
    keys = ("measurement", "parameters", "locale", "seed", "text", "split", "max_length", "code")
    made_of |= {key: settings[key] for key in keys}
    cache = ModelCache(settings["cache"], made_of, "measurements", MEASUREMENT_FILES)
    measured = not cache.restore(outputs)
    if measured:
        from workflow_scripts.merging.measuring import measure

        measure(inputs, settings, made_of["base"], cache, threads, watch)
        cache.restore(outputs)
    return {"measured": measured, "making_cost": cache.making_cost(), "cache_entries": [cache.key]}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
