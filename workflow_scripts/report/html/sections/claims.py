"""The ledger: the older study's claims against this run."""

from workflow_scripts.report.html.blocks import Cell, Prose, Section, Table, number_cell, text_cell
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.text import chip, number, with_minus

HEADS = ["claim", "verdict", "n", "what this run says"]


def section(data: RunData) -> Section:
    """Return the section with the claims ledger, empty where the run has none."""
    if data.claims.empty:
        return Section("claims", "Claims", [])
    rows = [
        [
            text_cell(row.statement),
            Cell(chip(row.verdict), row.verdict),
            number_cell(f"{number(row.n)} {row.unit}".rstrip(), row.n),
            text_cell(with_minus(row.detail)),
        ]
        for row in data.claims.itertuples()
    ]
    intro = Prose(
        "Claims of earlier work, judged on this run’s data alone, with an interval and a test at the unit that can "
        "vary (targets, or pairs of experiments), corrected for the number of claims."
    )
    return Section("claims", "Which earlier claims hold here?", [intro, Table("Claims ledger", HEADS, rows)])
