"""What the run shows and how surely: comparisons, prices, claims, whether an effect can be predicted, what to do."""

from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import write_table
from workflow_scripts.findings.claims.ledger import check_claims
from workflow_scripts.findings.claims.paired_run import PairedRun
from workflow_scripts.findings.predictor.evidence import read_evidence
from workflow_scripts.findings.predictor.recommendations import recommendations
from workflow_scripts.findings.predictor.tiers import predictor_summary
from workflow_scripts.results.run_results import read_results
from workflow_scripts.statistics.comparison import compare_run
from workflow_scripts.statistics.label_prices import label_prices


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the comparisons and their facts, what merges are worth in labels, the ledger, the predictor, its advice."""
    results = read_results(inputs, settings)
    items = by_wildcards(inputs["items_of"], results.targets)
    table, facts = compare_run(results, items)
    write_table(table, outputs["comparisons"])
    write_json(outputs["comparison_facts"], facts)
    write_table(label_prices(results, items), outputs["prices"])
    write_table(check_claims(PairedRun(results, items)), outputs["claims"])
    evidence = read_evidence(results, items, inputs, settings)
    write_json(outputs["predictor"], predictor_summary(evidence))
    write_table(recommendations(evidence), outputs["recommendations"])


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
