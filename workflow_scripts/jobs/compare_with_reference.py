"""The numbers of an older study beside those of this run."""

from typing import Any

from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import write_table
from workflow_scripts.findings.older_studies import read_reference
from workflow_scripts.findings.reference_comparison import reference_comparison
from workflow_scripts.results.run_results import read_results


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the comparison as CSV."""
    reference = read_reference(settings["reference"])
    write_table(reference_comparison(read_results(inputs, settings), reference), outputs["table"])


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
