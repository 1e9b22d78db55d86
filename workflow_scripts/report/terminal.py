"""Blocks as lines for the terminal."""

import textwrap
from collections.abc import Sequence

from tabulate import tabulate

from workflow_scripts.report.blocks import (
    Bars,
    Beside,
    Block,
    Folded,
    Items,
    Note,
    Plot,
    Prose,
    Section,
    Squares,
    Table,
    Verbatim,
)
from workflow_scripts.report.marks import plain

WIDTH = 120


def render_terminal(blocks: Sequence[Block]) -> str:
    """Return blocks as lines of plain text; plots and drawings as what they say."""
    return "\n".join(map(_lines, blocks)).replace("\u202f", " ").replace("\u00a0", " ") + "\n"


def _lines(block: Block) -> str:
    match block:
        case Section(title=title, blocks=blocks) | Folded(title, blocks):
            lines = "\n".join([f"\n{title}", *map(_lines, blocks)])
        case Beside(blocks):
            lines = "\n".join(map(_lines, blocks))
        case Prose(text) | Note(text):
            lines = _filled(plain(text))
        case Verbatim(text):
            lines = text
        case Items(items):
            lines = "\n".join(_filled(f"- {plain(item)}", indent="  ") for item in items)
        case Bars():
            lines = f"{block.title}:\n{textwrap.indent(_table(block.table, 'plain', heads=False), '  ')}"
        case Table():
            lines = f"\n{_filled(plain(block.caption))}\n{_table(block, 'simple')}\n"
        case Plot(title=title, alt=alt):
            lines = _filled(f"{title}: {alt}")
        case Squares(alt=alt):
            lines = _filled(alt)
    return lines


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _table(table: Table, form: str, heads: bool = True) -> str:
    rows = [[plain(cell.show) for cell in row] for row in table.rows]
    sides = ["right" if number else "left" for number in table.numeric]
    return tabulate(rows, table.heads if heads else (), tablefmt=form, disable_numparse=True, colalign=sides)
