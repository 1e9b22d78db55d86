"""Where merging paid: effects per target and experiment, and their distribution."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.report.figures.style import DIVERGING, PALETTE, new_figure
from workflow_scripts.results.run_results import Results

MOST_WITH_NUMBERS = 12  # columns


def draw(results: Results) -> Figure:
    """Draw accuracy differences: against the best of the merge's own sources, and against the fair single source."""
    effects = {
        "Merge − best of its own sources (oracle)": effect_matrix(results, "best_source"),
        "Merge − best zero-shot chosen on validation": effect_matrix(results, "best_zero_shot_val"),
    }
    names, targets = list(results.experiments), results.targets
    limit = max(0.05, *(np.nanmax(np.abs(v)) for v in effects.values()))
    figure = new_figure(10.5, max(4.0, 0.34 * len(targets) + 3.4))
    grid = figure.add_gridspec(2, 2, height_ratios=[max(2.0, 0.34 * len(targets)), 1.5])
    for column, (title, values) in enumerate(effects.items()):
        axes = figure.add_subplot(grid[0, column])
        image = axes.imshow(100 * values, cmap=DIVERGING, vmin=-100 * limit, vmax=100 * limit, aspect="auto")
        axes.set_xticks(range(len(names)), [results.titles[n] for n in names], rotation=45, ha="right",
                        rotation_mode="anchor", fontsize=7.5)  # fmt: skip
        axes.set_yticks(range(len(targets)), targets if column == 0 else [""] * len(targets))
        axes.set_title(title)
        axes.spines[:].set_visible(False)
        if len(names) <= MOST_WITH_NUMBERS:
            for (row, position), value in np.ndenumerate(100 * values):
                dark = abs(value) > 65 * limit
                axes.text(position, row, f"{value:+.1f}", ha="center", va="center", fontsize=7,
                          color="white" if dark else "black")  # fmt: skip
    figure.colorbar(image, ax=figure.axes, shrink=0.6, label="percentage points")
    _distribution(figure.add_subplot(grid[1, :]), effects, results)
    return figure


def effect_matrix(results: Results, baseline: str) -> np.ndarray:
    """Return accuracy differences merge − baseline, shape (targets, experiments)."""
    columns = []
    for name in results.experiments:
        merged = results.of_experiment(name)["accuracy"].reindex(results.targets)
        rows = results.baseline(baseline) if baseline == "best_zero_shot_val" else results.of_experiment(name, baseline)
        columns.append((merged - rows["accuracy"].reindex(results.targets)).to_numpy())
    return np.stack(columns, axis=1)


def _distribution(axes: Axes, effects: dict[str, np.ndarray], results: Results) -> None:
    for i, (title, values) in enumerate(effects.items()):
        flat = 100 * values[np.isfinite(values)]
        axes.hist(
            flat, bins=24, histtype="step", linewidth=1.8, color=PALETTE[i], label=f"{title}: mean {flat.mean():+.1f}"
        )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("difference in test accuracy, percentage points")
    axes.set_ylabel("merges")
    axes.set_title(f"All {len(results.experiments) * len(results.targets)} merges")
    axes.legend(fontsize=8, loc="best")
