"""The HTML report."""

from typing import Any

from workflow_scripts.core.atomic import write_text
from workflow_scripts.core.job import run_job
from workflow_scripts.report.html.page import render_html
from workflow_scripts.report.html.run_data import read_run
from workflow_scripts.report.summary import terminal_summary


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the report, and a summary for the terminal."""
    data = read_run(inputs, settings)
    write_text(outputs["html"], render_html(data))
    write_text(outputs["summary"], terminal_summary(data))


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
