"""Merges against zero-shot: one point per merge, with the line of no difference."""

from matplotlib.figure import Figure

from workflow_scripts.analysis.figures.style import MARKERS, PALETTE, new_figure
from workflow_scripts.analysis.results import Results


def draw(results: Results) -> Figure:
    """Draw merged accuracy against the fair single source, and the improvement against the ZS/self ratio."""
    figure = new_figure(10.5, 4.6)
    left, right = figure.subplots(1, 2)
    single, own = results.baseline("best_zero_shot_val")["accuracy"], results.baseline("self")["accuracy"]
    oracle = results.baseline("best_zero_shot")["accuracy"]
    for i, name in enumerate(results.experiments):
        merged = results.of_experiment(name)["accuracy"].reindex(results.targets)
        look = {"s": 24, "marker": MARKERS[i % len(MARKERS)], "color": PALETTE[i % len(PALETTE)], "alpha": 0.8}
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
    right.set_title("Does a weak zero-shot predict a useful merge?")
    _name_points(right, oracle / own)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=min(5, len(results.experiments)), fontsize=8)
    return figure


def _name_points(axes: object, ratios: object) -> None:
    for locale, ratio in ratios.items():  # type: ignore[attr-defined]
        axes.annotate(  # type: ignore[attr-defined]
            locale, (ratio, 0), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
            rotation=90, fontsize=6.5, color="#666666", ha="center", va="bottom",
        )  # fmt: skip
