"""The HTML report."""

from typing import Any

from workflow_scripts.analysis.html.page import render_html
from workflow_scripts.analysis.html.run_data import read_run
from workflow_scripts.core.atomic import write_text
from workflow_scripts.core.job import run_job


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the report."""
    write_text(outputs["html"], render_html(read_run(inputs, settings)))


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
