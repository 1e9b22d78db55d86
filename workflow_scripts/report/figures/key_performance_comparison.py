"""Key figures: per target, its own model, the fair single source, and every merge, with intervals."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.report.figures.style import PALETTE, SELF, ZERO_SHOT, looks, new_figure
from workflow_scripts.results.run_results import Results

MOST_METHODS = 9  # with a line of their own
MOST_TARGETS = 60  # likewise; of more, the figure would be too tall to open


def draw(results: Results) -> Figure:
    """Draw one band per target, best self accuracy on top: own model, merges, single source.

    Each method has a line in the band; with many methods or targets all merges share one, and the merge chosen on
    validation data stands out.
    """
    targets = sorted(results.targets, key=lambda t: results.baseline("self").loc[t, "accuracy"])
    methods = list(dict.fromkeys(e["method"] for e in results.experiments.values()))
    together = len(methods) > MOST_METHODS or len(targets) > MOST_TARGETS
    lines = 3 if together else len(methods) + 2
    figure = new_figure(9, max(3.5, 0.17 * lines * len(targets) + 1.2))
    axes = figure.subplots()
    places = {line: 0.36 - 0.72 * line / (lines - 1) for line in range(lines)}
    _draw_baseline(axes, results.baseline("self"), targets, places[0], SELF, "own model (self)")
    if together:
        _draw_together(axes, results, targets)
    else:
        _draw_methods(axes, results, targets, {method: places[1 + i] for i, method in enumerate(methods)})
    fair = results.baseline("best_zero_shot_val")
    _draw_baseline(axes, fair, targets, places[lines - 1], ZERO_SHOT, "best zero-shot, chosen on validation")
    for y in range(1, len(targets)):
        axes.axhline(y - 0.5, color="#DDDDDD", linewidth=0.7)
    axes.set_yticks(range(len(targets)), targets)
    axes.set_ylim(-0.55, len(targets) - 0.45)
    axes.set_xlim(0, 1)
    axes.set_xlabel("test accuracy (bars: 95 % intervals of the two baselines)")
    axes.set_title("What each target gets: own model, merges, single source")
    axes.grid(axis="x", alpha=0.25)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    return figure


def _draw_methods(axes: Axes, results: Results, targets: list[str], offsets: dict[str, float]) -> None:
    for name, (colour, marker) in looks(results.experiments).items():
        rows = results.of_experiment(name)["accuracy"].reindex(targets)
        offset = offsets[results.experiments[name]["method"]]
        axes.scatter(rows, [y + offset for y in range(len(targets))], s=26, zorder=3, marker=marker,
                     color=colour, edgecolors="white", linewidths=0.4, label=results.titles[name])  # fmt: skip


def _draw_together(axes: Axes, results: Results, targets: list[str]) -> None:
    merges = pd.concat([results.of_experiment(n)["accuracy"].reindex(targets) for n in results.experiments], axis=1)
    for y, (_, row) in enumerate(merges.iterrows()):
        axes.scatter(row, [y] * len(row), s=14, zorder=2, color=PALETTE[0], alpha=0.35, linewidths=0,
                     label=f"{len(row)} merges" if y == 0 else None)  # fmt: skip
    chosen = [results.of_experiment(results.chosen[t]).loc[t, "accuracy"] for t in targets]
    axes.scatter(chosen, range(len(targets)), s=46, zorder=3, marker="D", color=PALETTE[1], edgecolors="white",
                 linewidths=0.6, label="merge chosen on validation")  # fmt: skip


def _draw_baseline(axes: Axes, rows: pd.DataFrame, targets: list[str], offset: float, colour: str, title: str) -> None:
    for y, target in enumerate(targets):
        row = rows.loc[target]
        axes.plot([row["low"], row["high"]], [y + offset] * 2, color=colour, linewidth=4, alpha=0.35, zorder=1)
    heights = [y + offset for y in range(len(targets))]
    axes.plot(rows.loc[targets, "accuracy"], heights, "|", color=colour, markersize=8, markeredgewidth=2.2, label=title)
