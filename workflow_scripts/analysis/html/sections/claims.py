"""The ledger: the older study's claims against this run."""

from workflow_scripts.analysis.html.blocks import Cell, Prose, Section, Table, number_cell, text_cell
from workflow_scripts.analysis.html.run_data import RunData
from workflow_scripts.analysis.html.text import chip, number

HEADS = ["claim", "verdict", "effect [95 %]", "n", "detail"]


def section(data: RunData) -> Section:
    """Return the section with the claims ledger, empty where the run has none."""
    if data.claims.empty:
        return Section("claims", "Claims", [])
    rows = []
    for row in data.claims.itertuples():
        interval = "–"
        if row.effect == row.effect:
            interval = f"{number(row.effect, 3)} [{number(row.low, 3)}, {number(row.high, 3)}]"
        rows.append(
            [
                text_cell(row.statement),
                Cell(chip(row.verdict), row.verdict),
                number_cell(interval, row.effect),
                number_cell(f"{number(row.n)} {row.unit}", row.n),
                text_cell(row.detail),
            ]
        )
    intro = Prose(
        "Claims of the study that this project continues, judged on this run’s data alone: supported, contradicted or "
        "undecided, with the interval at the unit that can vary (targets, or pairs of targets)."
    )
    return Section("claims", "Which earlier claims hold here?", [intro, Table("Claims ledger", HEADS, rows)])
