"""What the run shows and how surely: comparisons, claims, whether an effect can be predicted, what to do per target."""

import itertools
from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import read_matrix, write_table
from workflow_scripts.findings.claims import evidence as claims
from workflow_scripts.findings.claims.ledger import check_claims
from workflow_scripts.findings.predictor import evidence as predictor
from workflow_scripts.findings.predictor.recommendations import recommendations
from workflow_scripts.findings.predictor.summary import predictor_summary
from workflow_scripts.findings.predictor.validation import read_validation
from workflow_scripts.results.items import read_items
from workflow_scripts.results.run_results import Results, read_results
from workflow_scripts.statistics.comparison import compare_run


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the comparisons and what else is to be known about them, the ledger, the predictor and its advice."""
    results = read_results(inputs, settings)
    items = {target: path for (target, _), path in zip(settings["targets"], inputs["items_of"], strict=True)}
    table, facts = compare_run(results, items)
    write_table(table, outputs["comparisons"])
    write_json(outputs["comparison_facts"], facts)
    write_table(check_claims(claims.Evidence(results, items)), outputs["claims"])
    known = _known(results, items, inputs, settings)
    write_json(outputs["predictor"], predictor_summary(known))
    write_table(recommendations(known), outputs["recommendations"])


def _known(
    results: Results, items: dict[str, str], inputs: dict[str, Any], settings: dict[str, Any]
) -> predictor.Evidence:
    seeds = settings["run"]["seeds"]
    similarities = dict(zip(itertools.product(settings["tiers"], seeds), inputs["similarities"], strict=True))
    return predictor.Evidence(
        results,
        {target: read_items(path) for target, path in items.items()},
        read_validation(inputs, settings),
        {key: read_matrix(path) for key, path in similarities.items()},
        {seed: read_matrix(path) for seed, path in zip(seeds, inputs["seed_matrices_validation"], strict=True)},
        settings["tiers"],
    )


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
