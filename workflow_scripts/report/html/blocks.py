"""What a section of the HTML report is made of: prose, tables, plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from workflow_scripts.report.html.text import breakable

MOST_NARROW = 10  # columns of a heat map whose cells hold a number on a telephone


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, and what it is sorted by (a number if there is one)."""

    show: str | Markup
    sort: float | str | None = None

    @property
    def is_number(self) -> bool:
        """Tell whether it is right-aligned and sorted by size."""
        return isinstance(self.sort, int | float)


@dataclass(frozen=True)
class Table:
    """A table: one row of cells per row, heads in order.

    Attributes
    ----------
    caption : str
        What it shows, for people and screen readers.
    heads : sequence of str
    rows : sequence of sequence of Cell
    filtered : bool
        Does it have a field that filters its rows?
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    filtered: bool = False
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Choice:
    """A drop-down list above a plot; each option is a pair of changes for ``Plotly.update``: traces, layout."""

    label: str
    options: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]


@dataclass(frozen=True)
class Plot:
    """An interactive plot.

    Attributes
    ----------
    id : str
        Unique in the document.
    title : str
    caption : str or Markup
        What it shows and how to read it.
    alt : str
        What it says, for those who do not see it.
    figure : dict
        A Plotly figure: ``data`` and ``layout``.
    choices : sequence of Choice
    matrix : mapping, optional
        For a heat map that can be ordered and filtered: see `plotting.matrix_controls`.
    table : Table, optional
        The same numbers, behind "as a table".
    """

    id: str
    title: str
    caption: str | Markup
    alt: str
    figure: Mapping[str, Any]
    choices: Sequence[Choice] = ()
    matrix: Mapping[str, Any] | None = None
    table: Table | None = None
    kind: str = field(default="plot", init=False)

    @property
    def dense(self) -> bool:
        """Tell whether it is a heat map with too many columns for numbers on a narrow screen."""
        return any(trace["type"] == "heatmap" and len(trace["x"]) > MOST_NARROW for trace in self.figure["data"])

    @property
    def payload(self) -> dict[str, Any]:
        """What the page's script reads."""
        choices = [list(choice.options.values()) for choice in self.choices]
        return {"figure": self.figure, "matrix": self.matrix, "choices": choices}


@dataclass(frozen=True)
class Prose:
    """A paragraph, or a box that stands out (``style="note"``)."""

    text: str | Markup
    style: str = ""
    kind: str = field(default="prose", init=False)


@dataclass(frozen=True)
class Folded:
    """Blocks behind a line that opens them."""

    title: str
    blocks: Sequence[Any]
    kind: str = field(default="folded", init=False)


Block = Table | Plot | Prose | Folded


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading."""

    id: str
    title: str
    blocks: Sequence[Block]


def text_cell(value: object) -> Cell:
    """Return a cell that shows and sorts a word."""
    return Cell(value if isinstance(value, Markup) else breakable(str(value)), str(value))


def number_cell(show: str | Markup, value: Any) -> Cell:
    """Return a cell that shows a formatted number; what is not known sorts last."""
    known = value is not None and value == value  # noqa: PLR0124  NaN is not itself
    return Cell(show, float(value) if known else float("-inf"))


def by_number(rows: list[list[Cell]], column: int, descending: bool = False) -> list[list[Cell]]:
    """Return rows ordered by the numbers of a column."""
    return sorted(rows, key=lambda cells: float(cells[column].sort or 0), reverse=descending)
