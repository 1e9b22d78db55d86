"""Accuracy against the tuned value, one panel per tuned method and sources."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.report.figures.style import PALETTE, new_figure
from workflow_scripts.results.run_results import Results
from workflow_scripts.results.tuning_curves import TuningCurve, tuning_curves

PER_ROW = 3


def draw(results: Results) -> Figure:
    """Draw each tuned system's curve: the mean over targets, thin ones per target, and what validation data picked."""
    curves = tuning_curves(results)
    rows = -(-len(curves) // PER_ROW) or 1
    figure = new_figure(10.5, 3.1 * rows + 0.5)
    panels = figure.subplots(rows, min(PER_ROW, max(1, len(curves))), sharey=True, squeeze=False)
    for axes in panels.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, curve in zip(panels.flat, curves, strict=False):
        _draw_curve(axes, curve, results.titles[curve.name])
    if curves:
        panels.flat[0].legend(fontsize=7.5, loc="best")
    else:
        panels.flat[0].set_title("No system is tuned over numbers in one parameter")
    figure.suptitle("Test accuracy against the tuned value", x=0.01, ha="left", fontweight="bold")
    return figure


def _draw_curve(axes: Axes, curve: TuningCurve, title: str) -> None:
    picked = f"picked by the validation data of the {curve.on}"
    for target, accuracies in curve.test.iterrows():
        axes.plot(curve.values, 100 * accuracies, color=PALETTE[0], alpha=0.22, linewidth=0.8)
        picks = [value for (of, _), value in curve.picked.items() if of == target]
        reached = [100 * accuracies[value] for value in picks]
        axes.plot(picks, reached, "o", color=PALETTE[4], markersize=3.5, alpha=0.7, label=picked)
        picked = ""
    mean = 100 * curve.test.mean()
    axes.plot(curve.values, mean, color=PALETTE[0], marker="o", linewidth=2, label="mean over targets")
    axes.set_xscale("log" if curve.values[0] > 0 else "linear")
    axes.set_xticks(curve.values, [f"{value:g}" for value in curve.values])
    axes.minorticks_off()
    axes.set_xlabel(curve.parameter)
    axes.set_ylabel("test accuracy, %")
    axes.set_title(title, fontsize=8.5)
    axes.grid(axis="y", alpha=0.25)
