"""The report, as HTML, as Markdown and for the terminal, and its tables."""

from typing import Any

from workflow_scripts.core.atomic import write_text
from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import write_table
from workflow_scripts.core.messages import warn
from workflow_scripts.report.contents import build_report
from workflow_scripts.report.html import render_html
from workflow_scripts.report.markdown import render_markdown
from workflow_scripts.report.run_data import read_run
from workflow_scripts.report.sections.in_short import summary
from workflow_scripts.report.terminal import render_terminal
from workflow_scripts.results.tables import cross_lingual_summary


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Read the finished run once and write all that is told of it."""
    data = read_run(inputs, settings)
    write_table(cross_lingual_summary(data.results), outputs["targets"])
    write_table(data.details, outputs["details"])
    write_table(data.diagnostics, outputs["diagnostics"])
    report = build_report(data)
    write_text(outputs["html"], render_html(report))
    write_text(outputs["markdown"], render_markdown(report))
    write_text(outputs["terminal"], render_terminal(summary(data)))
    if data.mixed_versions:
        warn(f"results of this run were made with different versions of libraries: {data.mixed_versions}")


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
