"""A greedy search for the sources of one target and seed."""

from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.job import run_job
from workflow_scripts.merging.greedy_search import GreedySearch


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the sources in the order in which they were taken, and every step."""
    search = GreedySearch(inputs, settings, threads)
    write_json(outputs["sources"], search.run())


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
