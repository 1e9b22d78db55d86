"""NxN heat map: every model on every locale."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.report.figures.style import SEQUENTIAL, new_figure
from workflow_scripts.results.run_results import Results

MOST_WITH_NUMBERS = 25
LARGEST = 30.0  # inches; a drawing twice as wide takes four times the memory


def draw(results: Results) -> Figure:
    """Draw test accuracies, models as rows, evaluation locales as columns, ordered by family and genus."""
    order = sorted(results.settings["locales"], key=lambda name: _group(results, name))
    values = results.matrix.loc[order, order].to_numpy()
    size = min(LARGEST, max(4.5, 0.42 * len(order) + 2))
    points = min(9.0, 0.8 * 72 * (size - 2) / len(order))  # of the names
    figure = new_figure(size + 0.8, size)
    axes = figure.subplots()
    image = axes.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=1)
    axes.set_xticks(range(len(order)), order, rotation=60, ha="right", rotation_mode="anchor", fontsize=points)
    axes.set_yticks(range(len(order)), order, fontsize=points)
    axes.set_xlabel("evaluation locale")
    axes.set_ylabel("model (fine-tuned on)")
    axes.set_title("Test accuracy of every model on every locale")
    axes.spines[:].set_visible(False)
    if len(order) <= MOST_WITH_NUMBERS:
        _write_numbers(axes, values)
    _separate_groups(axes, [_group(results, name)[:2] for name in order])
    figure.colorbar(image, ax=axes, shrink=0.8, label="accuracy")
    return figure


def _group(results: Results, locale: str) -> tuple[str, str, str]:
    row = results.languages[locale]
    return row["family"], row["genus"], locale


def _write_numbers(axes: Axes, values: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value < 0.6 else "black"
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour, fontsize=7)


def _separate_groups(axes: Axes, groups: list[tuple[str, str]]) -> None:
    for i in range(1, len(groups)):
        if groups[i] != groups[i - 1]:
            axes.axhline(i - 0.5, color="white", linewidth=2)
            axes.axvline(i - 0.5, color="white", linewidth=2)
