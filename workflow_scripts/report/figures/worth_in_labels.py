"""What merges are worth in labelled sentences: the curve that they are priced by, and the price on each target."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.report.figures.style import PALETTE, new_figure
from workflow_scripts.results.labelled_curves import FEWER, MORE, STARTS, labelled_curves
from workflow_scripts.results.run_results import Results
from workflow_scripts.selection.systems import FEW_SHOT, FEW_SHOT_BASE
from workflow_scripts.statistics.comparison import ACROSS, TARGET

CURVES = {FEW_SHOT: "best single source, fine-tuned", FEW_SHOT_BASE: "base model, fine-tuned"}
BEYOND = 1.25  # how far beyond a curve's end its arrow stands


def draw(results: Results) -> Figure:
    """Draw the curves and the merges' accuracies, means over targets, above the prices on each target."""
    prices = results.prices[results.prices["start"] == FEW_SHOT]
    targets = [t for t in results.targets if t in set(prices["target"])]
    figure = new_figure(8.5, 4.2 + 0.3 * len(targets) + 1.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.6, 0.3 * len(targets) + 0.8])
    colours = {tier: PALETTE[2 + i] for i, tier in enumerate(dict.fromkeys(prices["tier"]))}
    _curves(above, results, prices[prices["scope"] == ACROSS], colours)
    _targets(below, prices[prices["scope"] == TARGET], targets, colours)
    return figure


def _curves(axes: Axes, results: Results, prices: pd.DataFrame, colours: dict[str, str]) -> None:
    for start, colour in zip(STARTS, PALETTE, strict=False):
        curves = labelled_curves(results.mean, start)
        for curve in curves.values():
            axes.plot(curve["sentences"], 100 * curve["accuracy"], color=colour, alpha=0.2, linewidth=0.8)
        if curves:
            common = set.intersection(*(set(curve["system"]) for curve in curves.values()))
            points = pd.concat(curves.values())
            mean = points[points["system"].isin(common)].groupby("system").mean().sort_values("sentences")
            axes.plot(
                mean["sentences"], 100 * mean["accuracy"], color=colour, marker="o", linewidth=2, label=CURVES[start]
            )
    for _, row in prices.iterrows():
        colour, accuracy = colours[row["tier"]], 100 * row["accuracy"]
        axes.axhline(accuracy, color=colour, linestyle="--", linewidth=1.4, label=_label(row, results))
        if not row["bound"]:
            axes.plot(row["sentences"], accuracy, marker="D", color=colour, zorder=5)
    axes.set_xscale("log")
    axes.set_ylabel("test accuracy, %")
    axes.set_title("Training on labelled sentences of the target against merging (means; thin: each target)")
    axes.legend(fontsize=8, loc="best")


def _label(row: pd.Series, results: Results) -> str:
    return f"merge: {results.titles.get(row['experiment'], row['experiment'])} (supervision: {row['tier']})"


def _targets(axes: Axes, prices: pd.DataFrame, targets: list[str], colours: dict[str, str]) -> None:
    fewest, most = prices["fewest"].min(), prices["most"].max()
    for i, (tier, rows) in enumerate(prices.groupby("tier", sort=False)):
        shift = 0.22 * (i - (len(colours) - 1) / 2)
        for _, row in rows.iterrows():
            height = targets.index(row["target"]) + shift
            low, middle, high = (_place(row, name, fewest, most) for name in ("low", "sentences", "high"))
            if np.isfinite(low + high):
                axes.plot([low, high], [height, height], color=colours[tier], linewidth=1.6, alpha=0.6)
            marker = {FEWER: "<", MORE: ">"}.get(row["bound"], "D")
            axes.plot(middle, height, marker=marker, color=colours[tier], markersize=5, linestyle="none")
    ticks = [2**i for i in range(20) if fewest / 2 <= 2**i <= 2 * most]
    axes.set_xticks(ticks, [f"{t:.0f}" for t in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(targets)), targets)
    axes.set_ylim(len(targets) - 0.4, -0.6)
    axes.set_xlabel("labelled sentences of the target")
    axes.set_title("Worth for each target, by the best source’s curve (arrows: beyond it; lines: 95 % intervals)")


def _place(row: pd.Series, name: str, fewest: float, most: float) -> float:
    bound = row["bound" if name == "sentences" else f"{name}_bound"]
    return fewest / BEYOND if bound == FEWER else most * BEYOND if bound == MORE else float(row[name])
