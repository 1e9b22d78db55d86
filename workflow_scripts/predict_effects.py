"""Can the effect of merging be predicted, which policy loses least, and what to do for each target."""

import itertools
from typing import Any

from workflow_scripts.analysis.items import read_items
from workflow_scripts.analysis.matrices import read_matrix, write_table
from workflow_scripts.analysis.predictor.evidence import Evidence
from workflow_scripts.analysis.predictor.recommendations import recommendations
from workflow_scripts.analysis.predictor.summary import predictor_summary
from workflow_scripts.analysis.predictor.validation import read_validation
from workflow_scripts.analysis.results import read_results
from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.job import run_job


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the predictor's summary and the recommendations."""
    evidence = read_evidence(inputs, settings)
    write_json(outputs["predictor"], predictor_summary(evidence))
    write_table(recommendations(evidence), outputs["recommendations"])


def read_evidence(inputs: dict[str, Any], settings: dict[str, Any]) -> Evidence:
    """Read a finished run; see `Evidence` and `read_validation`."""
    seeds = settings["run"]["seeds"]
    similarities = dict(zip(itertools.product(settings["tiers"], seeds), inputs["similarities"], strict=True))
    return Evidence(
        read_results(inputs, settings),
        {target: read_items(path) for (target, _), path in zip(settings["targets"], inputs["correct"], strict=True)},
        read_validation(inputs, settings),
        {key: read_matrix(path) for key, path in similarities.items()},
        {seed: read_matrix(path) for seed, path in zip(seeds, inputs["seed_matrices_validation"], strict=True)},
        settings["tiers"],
    )


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
