"""Key figures: per target, its own model, the fair single source, and every merge, with intervals."""

from matplotlib.figure import Figure

from workflow_scripts.analysis.figures.style import MARKERS, PALETTE, SELF, ZERO_SHOT, new_figure
from workflow_scripts.analysis.results import Results


def draw(results: Results) -> Figure:
    """Draw one line per target, best self accuracy first; thin lines are 95 % intervals."""
    targets = sorted(results.targets, key=lambda t: results.baseline("self").loc[t, "accuracy"])
    figure = new_figure(8.5, max(3.5, 0.42 * len(targets) + 1.8))
    axes = figure.subplots()
    systems = [
        ("own model (self)", results.baseline("self"), SELF, "|"),
        ("best zero-shot, chosen on validation", results.baseline("best_zero_shot_val"), ZERO_SHOT, "|"),
    ]
    methods = list(dict.fromkeys(e["method"] for e in results.experiments.values()))
    for i, (title, rows, colour, marker) in enumerate(systems):
        for y, target in enumerate(targets):
            row = rows.loc[target]
            offset = 0.16 if i == 0 else -0.16
            axes.plot([row["low"], row["high"]], [y + offset] * 2, color=colour, linewidth=5, alpha=0.35, zorder=1)
            axes.plot(row["accuracy"], y + offset, marker, color=colour, markersize=11, markeredgewidth=2.2, zorder=2,
                      label=title if y == 0 else None)  # fmt: skip
    for i, name in enumerate(results.experiments):
        rows = results.of_experiment(name)
        method = methods.index(results.experiments[name]["method"])
        shown = [(rows.loc[t, "accuracy"], y) for y, t in enumerate(targets) if t in rows.index]
        axes.scatter(
            [x for x, _ in shown], [y for _, y in shown], s=26, zorder=3, marker=MARKERS[i % len(MARKERS)],
            facecolors=PALETTE[method % len(PALETTE)], edgecolors="white", linewidths=0.4, label=results.titles[name],
        )  # fmt: skip
    axes.set_yticks(range(len(targets)), targets)
    axes.set_xlim(0, 1)
    axes.set_xlabel("test accuracy (bars: 95 % intervals of the two baselines)")
    axes.set_title("What each target gets: own model, single source, merges")
    axes.grid(axis="x", alpha=0.25)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    return figure
