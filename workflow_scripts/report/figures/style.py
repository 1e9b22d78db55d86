"""One look for all figures: palette, fonts, saving."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib.figure import Figure

from workflow_scripts.core.atomic import atomic_path

# Okabe and Ito's palette: distinct for all common forms of colour blindness.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C7A00", "#000000"]
SELF, ZERO_SHOT, MEAN = "#4D4D4D", "#A6A6A6", "#D9D9D9"
DIVERGING, SEQUENTIAL = "PuOr_r", "viridis"
MARKERS = "osD^vPX*"


def looks(experiments: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return each experiment's colour (its method) and marker (how its sources were selected)."""
    methods = list(dict.fromkeys(e["method"] for e in experiments.values()))
    selections = list(dict.fromkeys(_selection(e) for e in experiments.values()))
    return {
        name: (
            PALETTE[methods.index(e["method"]) % len(PALETTE)],
            MARKERS[selections.index(_selection(e)) % len(MARKERS)],
        )
        for name, e in experiments.items()
    }


def _selection(settings: Mapping[str, Any]) -> str:
    return str([v for k, v in sorted(settings.items()) if not k.startswith("method")])


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    mpl.rcParams.update(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "figure.dpi": 150,
        }
    )
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: str | Path) -> None:
    """Write a PNG atomically, without a date: equal content gives equal bytes."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
