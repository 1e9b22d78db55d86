"""What the results took: time, memory, disk."""

from workflow_scripts.report.html.blocks import Cell, Prose, Section, Table, number_cell, text_cell
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.text import number
from workflow_scripts.report.markdown import cost_facts

STORED = {"models": "task vectors of the models", "rows": "logits of models", "merges": "logits of merges"}


def section(data: RunData) -> Section:
    """Return the section on cost."""
    stages = cost_facts(list(data.sidecars))
    heads, rows = list(stages[0]), [[_cell(value) for value in row.values()] for row in stages]
    time = Table("Time and memory by stage", heads, rows)
    disk_rows = [
        [
            text_cell(title),
            number_cell(number(len(data.disk[name])), len(data.disk[name])),
            number_cell(_megabytes(sum(data.disk[name])), sum(data.disk[name])),
        ]
        for name, title in STORED.items()
    ]
    disk = Table("Disk", ["what", "files", "size"], disk_rows)
    note = "What making the results took: one that was looked up counts with what it took when it was made."
    return Section("cost", "What it cost", [Prose(note), time, disk])


def _cell(value: object) -> Cell:
    parts = str(value).split()
    if parts and parts[0].replace(".", "").isdigit():
        return number_cell(" ".join([number(float(parts[0])), *parts[1:]]), float(parts[0]))
    return text_cell(value)


def _megabytes(size: int) -> str:
    return f"{number(size / 1e6, 1)} MB"
