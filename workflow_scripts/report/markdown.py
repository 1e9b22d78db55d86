"""The report as Markdown: all sections but the pages of single targets; what users write is escaped."""

import re
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
    Report,
    Section,
    Squares,
    Table,
    Verbatim,
)
from workflow_scripts.report.marks import Code, Emphasis, Link, Remark, Strong, Text, Verdict, Whiskers, plain

# What would be markup: marks, an underscore at the edge of a word, links, tags, entities, and what opens a line.
SPECIAL = re.compile(
    r"[\\`*~]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|<(?=[\w/!?])|&(?=#?\w+;)"
    r"|^(?=([-+#]+|=+)(\s|$)|>)|(?<=^\d)(?=[.)]\s)"
)


def render_markdown(report: Report) -> str:
    """Return the report as Markdown."""
    parts = [_block(report.opening, 1), *(_block(section, 2) for section in report.sections)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(lambda found: f"\\{found[0]}", re.sub(r"\s+", " ", text))


def inline(text: Text) -> str:
    """Return text with its marks as Markdown."""
    match text:
        case tuple():
            shown = "".join(map(inline, text))
        case Strong(words) | Verdict(words):
            shown = f"**{escaped(words)}**"
        case Emphasis(words):
            shown = f"*{escaped(words)}*"
        case Code(words):
            shown = _code(words)
        case Link(words, address) if not address.startswith("#"):
            shown = f"[{escaped(words)}]({address})"
        case Remark(words):
            shown = f" ({escaped(words)})"
        case Whiskers():
            shown = ""  # the number stands beside it
        case _:
            shown = escaped(plain(text))
    return shown


def _code(word: str) -> str:
    """Return a name between as many backticks as it needs."""
    fence = "`" * (1 + max(map(len, re.findall("`+", word)), default=0))
    space = " " if "`" in word else ""
    return f"{fence}{space}{word}{space}{fence}"


def _block(block: Block, level: int) -> str:
    match block:
        case Folded(title, _, file) if file:
            shown = f"{escaped(title)}: [{file}]({file})."
        case Section(title=title, blocks=blocks) | Folded(title, blocks):
            shown = _joined([_heading(title, level), *(_block(b, level + 1) for b in blocks)])
        case Beside(blocks):
            shown = _joined([_block(b, level) for b in blocks])
        case Prose(text):
            shown = inline(text)
        case Note(text):
            shown = f"> {inline(text)}"
        case Verbatim(text):
            shown = re.sub("^", "    ", text, flags=re.MULTILINE)
        case Items(items, numbered):
            shown = "\n".join(f"{f'{i}.' if numbered else '-'} {inline(item)}" for i, item in enumerate(items, 1))
        case Table():
            shown = _table(block)
        case Bars():
            shown = _table(block.table)
        case Plot(title=title, alt=alt, table=table, picture=picture):
            pictures = [f"![{escaped(title)}]({picture})"] if picture else []
            tables = [_table(table)] if table else []
            shown = _joined([_heading(title, level), *pictures, escaped(alt), *tables])
        case Squares(alt=alt):
            shown = escaped(alt)
    return shown


def _heading(title: str, level: int) -> str:
    return f"{'#' * level} {escaped(title)}"


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(parts)


def _table(table: Table) -> str:
    """Return a table below its caption; columns that draw what others say are left out."""
    columns = [[_in_table(row[i].show) for row in table.rows] for i in range(len(table.heads))]
    kept = [i for i, cells in enumerate(columns) if any(cells)]
    rows = zip(*(columns[i] for i in kept), strict=True)
    sides = ["right" if table.numeric[i] else "left" for i in kept]
    heads = [_in_table(table.heads[i]) for i in kept]
    body = tabulate(list(rows), heads, tablefmt="pipe", disable_numparse=True, colalign=sides)
    return f"{inline(table.caption)}\n\n{body}"


def _in_table(text: Text) -> str:
    return inline(text).replace("|", r"\|")
