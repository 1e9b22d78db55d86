"""Every comparison of the run, tested: effects, intervals, corrected p, verdicts."""

from typing import Any

from workflow_scripts.analysis.matrices import write_table
from workflow_scripts.analysis.results import read_results
from workflow_scripts.analysis.statistics.comparison import compare_run
from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.job import run_job


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the table of comparisons and what else is to be known about them."""
    results = read_results(inputs, settings)
    table, facts = compare_run(results, dict(zip(settings["targets"], inputs["items_of"], strict=True)))
    write_table(table, outputs["table"])
    write_json(outputs["facts"], facts)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
