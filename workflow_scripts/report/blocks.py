"""What a report is made of, whatever it is rendered to: prose, lists, tables, plots."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workflow_scripts.core.words import is_unknown, percent
from workflow_scripts.report.marks import Mark, Text


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown; a number also has what it is sorted by, and stands on the right."""

    show: Text
    sort: float | None = None


@dataclass(frozen=True)
class Table:
    """A table: one row of cells per row, heads in order; the caption says what it shows."""

    caption: Text
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        return [bool(self.rows) and self.rows[0][i].sort is not None for i in range(len(self.heads))]

    def ordered(self, head: str, descending: bool = False) -> "Table":
        """Return the table with its rows ordered by a column of numbers."""
        column = self.heads.index(head)
        rows = sorted(self.rows, key=lambda cells: float(cells[column].sort or 0), reverse=descending)
        return replace(self, rows=rows)


@dataclass(frozen=True)
class Choice:
    """A drop-down list above a plot; each option is a pair of changes for ``Plotly.update``: traces, layout."""

    label: str
    options: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]


@dataclass(frozen=True)
class Plot:
    """An interactive plot, or a picture, or what it says, whatever the reader can see.

    Attributes
    ----------
    id : str
        Unique in the document.
    title : str
    caption : Text
        What it shows and how to read it.
    alt : str
        What it says, for those who do not see it.
    figure : dict
        A Plotly figure: ``data`` and ``layout``.
    choices : sequence of Choice
    matrix : mapping, optional
        For a heat map that can be ordered and filtered: see `plots.matrix_controls`.
    table : Table, optional
        The same numbers.
    picture : str
        The file beside the report that shows the same, if there is one.
    """

    id: str
    title: str
    caption: Text
    alt: str
    figure: Mapping[str, Any]
    choices: Sequence[Choice] = ()
    matrix: Mapping[str, Any] | None = None
    table: Table | None = None
    picture: str = ""


@dataclass(frozen=True)
class Squares:
    """A drawing of a matrix: one square per pair of names that occurs.

    Attributes
    ----------
    names : sequence of str
        By row, and in the same order by column.
    cells : sequence of (row, column, share, title)
    caption, alt : str
    """

    names: Sequence[str]
    cells: Sequence[tuple[int, int, float, str]]
    caption: str
    alt: str


@dataclass(frozen=True)
class Bars:
    """Shares as bars: (title, value, what kind of system it is: ``merge``, ``single`` or nothing)."""

    title: str
    bars: Sequence[tuple[str, float, str]]

    @property
    def table(self) -> Table:
        """The same as a table."""
        rows = [[text_cell(title), number_cell(percent(value), value)] for title, value, _ in self.bars]
        return Table(self.title, ["system", "mean accuracy"], rows)


@dataclass(frozen=True)
class Prose:
    """A paragraph; of the ``lead`` (what this is about), of ``fine`` print, or between others."""

    text: Text
    style: str = ""


@dataclass(frozen=True)
class Note:
    """A paragraph that stands out."""

    text: Text


@dataclass(frozen=True)
class Verbatim:
    """Text whose lines and spaces stay."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list, numbered or not."""

    items: Sequence[Text]
    numbered: bool = False
    style: str = ""


@dataclass(frozen=True)
class Beside:
    """Blocks that stand side by side where there is room."""

    blocks: Sequence["Block"]
    style: str = ""


@dataclass(frozen=True)
class Folded:
    """Blocks behind a line that opens them; where nothing can be folded, `file` is named instead if it has the same."""

    title: str
    blocks: Sequence["Block"]
    file: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading; sections may stand in sections."""

    id: str
    title: str
    blocks: Sequence["Block"]


Block = Section | Prose | Note | Verbatim | Items | Bars | Table | Plot | Squares | Beside | Folded


@dataclass(frozen=True)
class TargetPage:
    """A target's page: its place among the others, and what it shows."""

    locale: str
    language: str
    family: str
    neighbours: Sequence[str]
    section: Section


@dataclass(frozen=True)
class Report:
    """A whole report: the opening, its other sections, a page per target."""

    run: str
    opening: Section
    sections: Sequence[Section]
    pages: Sequence[TargetPage]


Value = str | Callable[[Any], Any]  # a row's key, or what is worked out from it
Column = Value | tuple[Value, Callable[[Any], str]]


def table(caption: Text, rows: Sequence[Any], columns: Mapping[str, Column]) -> Table:
    """Return a table of mappings.

    Parameters
    ----------
    caption : Text
    rows : sequence of mapping
    columns : mapping
        Head → where its cells come from: a key or a function of the row for a column of text; that and a function
        that formats a number for a column of numbers. What is a `Cell` already stays as it is. A column that says
        nothing in any row is left out.
    """
    cells = {head: [_cell(row, column) for row in rows] for head, column in columns.items()}
    shown = {head: column for head, column in cells.items() if not column or any(cell.show != "" for cell in column)}
    return Table(caption, list(shown), list(zip(*shown.values(), strict=True)))


def _cell(row: Any, column: Column) -> Cell:
    value, show = column if isinstance(column, tuple) else (column, None)
    found = row[value] if isinstance(value, str) else value(row)
    if isinstance(found, Cell):
        return found
    return text_cell(found) if show is None else number_cell(show(found), found)


def text_cell(value: Any) -> Cell:
    """Return a cell with text."""
    return Cell(value if isinstance(value, Mark | tuple) else str(value))


def number_cell(show: str, value: Any) -> Cell:
    """Return a cell that shows a formatted number; what is not known sorts last."""
    return Cell(show, float("-inf") if is_unknown(value) else float(value))
