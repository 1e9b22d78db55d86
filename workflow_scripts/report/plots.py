"""Plotly figures with one look. Ink, grid and paper come from the page's style sheet, so that themes and print work."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

# Okabe and Ito's hues, each dark and light enough for a contrast of 3:1 on white and on the dark theme's paper.
PALETTE = ("#1784C7", "#D55E00", "#009E73", "#CC79A7", "#8C7A00", "#7A6FD0", "#808080", "#B0703C")
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down", "star", "hexagon")
BETTER_IS_ORANGE, SEQUENTIAL = "PuOr_r", "Viridis"
GREY = "#808080"
MOST_WITH_NUMBERS = 20  # columns of a heat map


def figure(traces: Sequence[Any], height: int, **layout: Any) -> dict[str, Any]:
    """Return a figure with the report's look.

    Parameters
    ----------
    traces : sequence of plotly traces
    height : int
        Pixels.
    **layout
        Plotly's layout; ``xaxis`` and ``yaxis`` are completed.
    """
    axis = {"automargin": True, "zeroline": False, "ticks": "", "showline": False, "fixedrange": True}
    defaults = {
        "template": "none",
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 13},
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#1b1f24", "bordercolor": "#1b1f24", "align": "left",
                       "font": {"color": "#ffffff", "size": 13}},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "xanchor": "left"},
    }  # fmt: skip
    axes = {name: {**axis, **layout.pop(name, {})} for name in ("xaxis", "yaxis")}
    made = go.Figure(data=list(traces), layout={**defaults, **axes, **layout})
    found: dict[str, Any] = made.to_plotly_json()
    return found


def heat_map(values: Any, rows: Sequence[str], columns: Sequence[str], hover: Any, **look: Any) -> go.Heatmap:
    """Return a heat map; `hover` has one text per cell. Few columns: numbers are written into the cells."""
    numbers = len(columns) <= MOST_WITH_NUMBERS
    return go.Heatmap(
        z=values, x=list(columns), y=list(rows), text=hover, hovertemplate="%{text}<extra></extra>", xgap=1, ygap=1,
        texttemplate="%{z:.0f}" if numbers else None, textfont={"size": 11},
        colorbar={"thickness": 10, "outlinewidth": 0, "len": 0.6, "title": {"text": look.pop("unit"), "side": "right"}},
        **look,
    )  # fmt: skip


def interval_dots(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float], hover: Sequence[str]
) -> dict[str, list]:
    """Return what ``Plotly.update`` changes in a trace of `interval_trace` to show other numbers."""
    return {
        "x": [list(values)],
        "error_x.array": [[high - value for high, value in zip(highs, values, strict=True)]],
        "error_x.arrayminus": [[value - low for low, value in zip(lows, values, strict=True)]],
        "text": [list(hover)],
    }


def interval_trace(dots: Mapping[str, list], names: Sequence[str]) -> go.Scatter:
    """Return a dot with a horizontal interval for each name."""
    above, below = dots["error_x.array"][0], dots["error_x.arrayminus"][0]
    return go.Scatter(
        x=dots["x"][0], y=list(names), text=dots["text"][0], mode="markers", hovertemplate="%{text}<extra></extra>",
        error_x={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 2, "width": 4},
        marker={"size": 10, "color": PALETTE[0]}, showlegend=False,
    )  # fmt: skip


def category_axis(names: Sequence[str], **options: Any) -> dict[str, Any]:
    """Return an axis of names in their order, the first on the left or on top."""
    return {"type": "category", "categoryorder": "array", "categoryarray": list(names), **options}


def matrix_controls(
    orders: Mapping[str, Sequence[str]], groups: Mapping[str, Mapping[str, str]], labels: tuple[str, str]
) -> dict[str, Any]:
    """Return what the page needs to order and filter a square heat map.

    Parameters
    ----------
    orders : mapping
        Name of an order → the names of rows and columns in it.
    groups : mapping
        Name of a grouping (family, script …) → row or column → its group.
    labels : pair of str
        What rows and columns are, for the filters' labels.
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for name, group in groups.items():
        for member, value in group.items():
            kinds.setdefault(name, {}).setdefault(value, []).append(member)
    return {"orders": {k: list(v) for k, v in orders.items()}, "groups": kinds, "labels": list(labels)}


def as_json(value: Any) -> Markup:
    """Return JSON that may stand in a script element."""
    from plotly.utils import PlotlyJSONEncoder

    text = json.dumps(value, cls=PlotlyJSONEncoder, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))
