"""The claims of earlier work, each tested on this run."""

from typing import Any

from workflow_scripts.analysis.claims.evidence import Evidence
from workflow_scripts.analysis.claims.ledger import check_claims
from workflow_scripts.analysis.matrices import write_table
from workflow_scripts.analysis.results import read_results
from workflow_scripts.core.job import run_job


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the ledger."""
    paths = dict(zip(settings["targets"], inputs["items_of"], strict=True))
    write_table(check_claims(Evidence(read_results(inputs, settings), paths)), outputs["table"])


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
