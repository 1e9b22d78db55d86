"""A row of the NxN matrix: one model on all locales."""

from typing import Any

from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.cells import CellCache, cached_scores, decided_scoring, made_decision, targets_of
from workflow_scripts.evaluation.packs import write_row


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Score the model where the cache has no scores, and write the row."""
    base, model = read_digest(inputs["base_digest"]), read_digest(inputs["model_digest"])
    precision = made_decision(inputs)
    scoring = decided_scoring(settings["scoring"], precision)
    cache = CellCache(scoring, model, base)

    def score(missing: list[Any]) -> Any:
        from workflow_scripts.evaluation.scoring import Scorer
        from workflow_scripts.models.checkpoints import load_task_vector

        scorer = Scorer(inputs, missing, scoring, threads)
        return scorer.scores(load_task_vector(inputs["model"], base, inputs["model_digest"]))

    targets = targets_of(settings["locales"], inputs)
    packs = cached_scores(cache, targets, score)
    write_row(outputs, packs, settings["locale"], settings["seed"], settings["locales"])
    return {"cells": len(targets), "precision": precision}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
