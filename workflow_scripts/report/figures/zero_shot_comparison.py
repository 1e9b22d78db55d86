"""Merges against zero-shot: one point per merge, with the line of no difference."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.report.figures.style import looks, new_figure
from workflow_scripts.results.run_results import Results


def draw(results: Results) -> Figure:
    """Draw merged accuracy against the fair single source, and the improvement against the ZS/self ratio."""
    figure = new_figure(10.5, 4.6)
    left, right = figure.subplots(1, 2)
    single, own = results.baseline("best_zero_shot_val")["accuracy"], results.baseline("self")["accuracy"]
    oracle = results.baseline("best_zero_shot")["accuracy"]
    for name, (colour, marker) in looks(results.experiments).items():
        merged = results.of_experiment(name)["accuracy"].reindex(results.targets)
        look = {"s": 24, "marker": marker, "color": colour, "alpha": 0.75}
        left.scatter(single, merged, label=results.titles[name], **look)
        right.scatter(oracle / own, 100 * (merged - single), **look)
    left.axline((0, 0), slope=1, color="black", linewidth=0.8)
    left.set_xlim(0, 1)
    left.set_ylim(0, 1)
    left.set_xlabel("best zero-shot model chosen on validation, test accuracy")
    left.set_ylabel("merged model, test accuracy")
    left.set_title("Above the line the merge is better")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_xlabel("ZS/self ratio (best zero-shot, oracle ÷ own model)")
    right.set_ylabel("merge − best zero-shot (validation), points")
    right.set_title("Does a weak zero-shot predict a useful merge?", pad=34)
    _name_points(right, oracle / own)
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(5, len(results.experiments)),
        fontsize=8,
    )
    return figure


def _name_points(axes: Axes, ratios: pd.Series) -> None:
    for locale, ratio in ratios.items():
        axes.annotate(
            locale, (ratio, 1), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
            rotation=90, fontsize=6.5, color="#555555", ha="center", va="bottom",
        )  # fmt: skip
