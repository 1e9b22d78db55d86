"""A row of the NxN matrix: one model on all locales."""

from typing import Any

from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.cells import cached_scores, cell_cache, targets_of
from workflow_scripts.evaluation.precision import decided_scoring, made_decision
from workflow_scripts.evaluation.row_outputs import write_row


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Score the model where the cache has no scores, and write the row."""
    base, model = read_digest(inputs["base_digest"]), read_digest(inputs["model_digest"])
    precision = made_decision(inputs)
    scoring = decided_scoring(settings["scoring"], precision)
    cache = cell_cache(scoring, model, base)

    def score(missing: list[Any]) -> Any:
        from workflow_scripts.evaluation.score_checkpoint import score_checkpoint

        return score_checkpoint(inputs, base, missing, scoring, threads)

    targets = targets_of(settings["locales"], inputs)
    packs, computed = cached_scores(cache, targets, score)
    write_row(outputs, packs, settings["locale"], settings["seed"], settings["locales"])
    counts = {"cells": len(targets), "cells_computed": len(computed), "computed": computed}
    return {
        **counts,
        "precision": precision,
        "making_cost": cache.making_cost(targets),
        "cache_entries": cache.entries(targets),
    }


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
