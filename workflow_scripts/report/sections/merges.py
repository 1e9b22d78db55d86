"""Every merge on every target, method against method, and the systems that merges stand beside."""

from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.words import number, percent, percent_interval, plural, points, whole_percent
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import (
    Block,
    Cell,
    Choice,
    Column,
    Folded,
    Plot,
    Prose,
    Section,
    Table,
    number_cell,
    table,
)
from workflow_scripts.report.figures.merge_improvement_analysis import effect_matrix
from workflow_scripts.report.marks import Code, Text, marked
from workflow_scripts.report.run_data import RunData
from workflow_scripts.results.tables import BESIDE_JOINT, joint_overview, pairwise
from workflow_scripts.selection.systems import BEST_SINGLE, BEST_SOURCE_ORACLE, SELF, baselines, title

EXTREMES = 5  # merges at either end
LARGE_DIFFERENCE = 0.05


def section(data: RunData) -> Section:
    """Return the section with the matrix of experiments and targets, and methods against methods."""
    blocks: list[Block] = [_matrix(data), _overview(data), Prose(_columns(), "fine")]
    joint = joint_overview(data.results)
    if len(joint):
        blocks.append(_joint(data, joint))
    pairs = pairwise(data.results)
    if len(pairs):
        blocks.append(Folded(f"Method against method: {plural(len(pairs), 'pair')}", [_pairs(pairs)]))
    blocks.append(Folded("The most successful and the most harmful merges", _extremes(data)))
    blocks.append(Folded("Large differences between merges", [_spread(data)]))
    blocks.append(Folded("The systems that merges stand beside", [_systems(data)]))
    return Section("methods", "Which merge for which target?", blocks)


def _matrix(data: RunData) -> Plot:
    results = data.results
    accuracy = np.stack(
        [results.of_experiment(n)["accuracy"].reindex(results.targets) for n in results.experiments], axis=1
    )
    views = {
        "merge − best single source (validation), points": effect_matrix(results, BEST_SINGLE),
        "merge − best of its own sources (oracle), points": effect_matrix(results, BEST_SOURCE_ORACLE),
        "accuracy, %": accuracy,
    }
    titles = [results.titles[name] for name in results.experiments]
    order = np.argsort(-np.nanmean(accuracy, axis=0), kind="stable")
    columns = [titles[i] for i in order]
    traces = {title: _trace(data, title, values[:, order], columns) for title, values in views.items()}
    figure = plots.figure(
        [next(iter(traces.values()))],
        max(340, 24 * len(results.targets) + 190),
        xaxis=plots.category_axis(columns, tickangle=-45),
        yaxis=plots.category_axis(results.targets, autorange="reversed"),
    )
    keys = ("z", "text", "zmin", "zmax", "colorscale")
    options: dict[str, tuple[dict, dict]] = {
        title: ({k: [trace[k]] for k in keys}, {}) for title, trace in traces.items()
    }
    effect = next(iter(views.values()))
    return Plot(
        "matrix", "Every merge on every target",
        "Merges from left to right by mean accuracy. Purple: the merge is worse, orange: better.",
        f"Heat map of {plural(len(results.targets), 'target')} and {plural(len(columns), 'experiment')}. "
        f"{(effect > 0).sum()} merges are better than the target’s best single source, {(effect < 0).sum()} worse; "
        f"the best gains {points(np.nanmax(effect))} points, the worst changes by {points(np.nanmin(effect))}.",
        figure,
        [Choice("show", options)],
        picture="merge_improvement_analysis.png",
    )  # fmt: skip


def _trace(data: RunData, title: str, values: np.ndarray, columns: list[str]) -> dict:
    results = data.results
    if title.startswith("accuracy"):
        look = {"colorscale": plots.SEQUENTIAL, "zmin": 0, "zmax": 100}
    else:
        limit = float(np.nanmax(np.abs(100 * values))) or 1.0
        look = {"colorscale": plots.BETTER_IS_ORANGE, "zmin": -limit, "zmax": limit}
    sizes = results.baseline(SELF)["n"]
    hover = [
        [_hover(f"{target}: {column}", title, values[i, j], sizes[target]) for j, column in enumerate(columns)]
        for i, target in enumerate(results.targets)
    ]
    trace = plots.heat_map((100 * values).round(2).tolist(), results.targets, columns, hover, unit="", **look)
    made: dict = trace.to_plotly_json()
    return made


def _hover(cell: str, title: str, value: float, n: int) -> str:
    if np.isnan(value):
        return f"{cell} is not in this run"
    shown = percent(value) if title.startswith("accuracy") else f"{points(value)} points"
    return f"<b>{cell}</b><br>{title.split(',', maxsplit=1)[0]}: {shown}<br>n = {n:.0f}"


def _overview(data: RunData) -> Table:
    rows = data.overview.sort_values("accuracy", ascending=False, kind="stable").to_dict("records")
    return table(
        "Means over targets, differences in percentage points",
        rows,
        {
            "merge": "title",
            "supervision": "tier",
            "targets": ("targets", number),
            "mean accuracy": ("accuracy", percent),
            "− best single (validation)": ("vs_best_zero_shot_val", points),
            "better / worse": lambda row: _counted(row, "improved_val", "hurt_val"),
            "− best own source (oracle)": ("effect_best", points),
            "− mean of its sources": ("effect_mean", points),
            "−\u00a0ensemble": ("vs_ensemble", points),
            "above / below best of all (oracle)": lambda row: _counted(row, "constructive", "destructive"),
            "in files": lambda row: Code(row["experiment"]),
        },
    )


def _counted(row: dict[str, Any], better: str, worse: str) -> Cell:
    return number_cell(f"{row[better]} / {row[worse]}", row[better])


def _columns() -> Text:
    return marked(
        "*− best own source* is `effect_best` in the tables: did merging among these sources pay? Nearly every merge "
        "beats the mean of its sources (`effect_mean`): that column flatters. The ensemble asks the same sources one "
        "by one and averages their probabilities with the same weights: as many forward passes as sources. "
        "*Supervision* says what the selection had to see of the target."
    )


def _joint(data: RunData, joint: pd.DataFrame) -> Table:
    caption = marked(
        "The same sources merged, asked one by one (`ensemble_weighted_soft`), or replaced by one model trained on all "
        "their training data, with one source’s number of steps (`joint_one`), and with all sources’ (`joint_all`)."
    )
    columns: dict[str, Column] = {
        "sources of": lambda row: data.results.titles[row["experiment"]],
        "targets": ("targets", number),
        **{system: (system, percent) for system in BESIDE_JOINT},
    }
    return table(caption, joint.to_dict("records"), columns)


def _pairs(pairs: pd.DataFrame) -> Table:
    rows = pairs.sort_values("mean_difference", key=abs, ascending=False, kind="stable").to_dict("records")
    return table(
        "Method against method: same sources, same target, only the method differs; points, not tested.",
        rows,
        {
            "methods": lambda row: f"{row['first']} − {row['second']}",
            "pairs": ("pairs", number),
            "mean difference": ("mean_difference", points),
            "first better": ("first_better", number),
            "equal": ("equal", number),
            "second better": ("second_better", number),
        },
    )


def _extremes(data: RunData) -> list[Block]:
    blocks: list[Block] = []
    opponent = "the best single model that validation data choose"
    for kind, sign in (("better", -1), ("worse", 1)):
        rows = data.compared_merges.assign(order=sign * data.compared_merges["vs_best_zero_shot_val"])
        rows = rows.sort_values(["order", "target", "experiment"])
        rows = rows[rows["order"] < 0].head(EXTREMES)
        if rows.empty:
            blocks.append(Prose(f"No merge is {kind} than {opponent}."))
        else:
            caption = f"Merges that are most clearly {kind} than {opponent}; points"
            blocks.append(_merges(data, caption, rows.to_dict("records")))
    return blocks


def _merges(data: RunData, caption: str, rows: list[dict[str, Any]]) -> Table:
    def title(row: dict[str, Any]) -> str:
        return data.results.titles[row["experiment"]] + ("" if data.results.one_seed else f" (seed {row['seed']})")

    return table(
        caption,
        rows,
        {
            "target": "target",
            "merge": title,
            "sources": lambda row: row["sources"].replace(";", ", "),
            "accuracy [95 %]": lambda row: number_cell(
                percent_interval(row["accuracy"], row["low"], row["high"]), row["accuracy"]
            ),
            "− best single (validation)": ("vs_best_zero_shot_val", points),
            "best zero-shot (oracle)": ("best_zero_shot_oracle", percent),
            "− best own source (oracle)": ("effect_best", points),
        },
    )


def _spread(data: RunData) -> Block:
    """Return the targets where the best and the worst merge are far apart."""
    results, rows = data.results, []
    for target in results.targets:
        tables = {name: results.of_experiment(name) for name in results.experiments}
        reached = {name: t.loc[target, "accuracy"] for name, t in tables.items() if target in t.index}
        best, worst = max(reached, key=lambda n: reached[n]), min(reached, key=lambda n: reached[n])
        rows.append(
            {
                "target": target,
                "best": f"{results.titles[best]} ({percent(reached[best])})",
                "worst": f"{results.titles[worst]} ({percent(reached[worst])})",
                "difference": reached[best] - reached[worst],
            }
        )
    large = sorted((r for r in rows if r["difference"] > LARGE_DIFFERENCE), key=lambda row: -row["difference"])
    limit = f"more than {number(100 * LARGE_DIFFERENCE)} points apart"
    if not large:
        return Prose(f"For no target are two merges {limit}.")
    columns: dict[str, Column] = {
        "target": "target",
        "best merge": "best",
        "worst merge": "worst",
        "difference": ("difference", points),
    }
    caption = f"Targets whose best and worst merge, both picked on the test data to show the spread, are {limit}"
    return table(caption, large, columns)


def _systems(data: RunData) -> Table:
    rows = []
    for name in (*(system.name for system in baselines("target")), *data.results.soups):
        reached = data.results.baseline(name)["accuracy"].dropna()
        if len(reached):
            rows.append({"name": Code(name), "title": title(name), "targets": len(reached), "accuracies": reached})
    return table(
        "Means over targets, and from the lowest to the highest target",
        rows,
        {
            "in files": "name",
            "what it is": "title",
            "targets": ("targets", number),
            "mean accuracy": (lambda row: row["accuracies"].mean(), percent),
            "range": lambda row: "–".join(map(whole_percent, (row["accuracies"].min(), row["accuracies"].max()))),
        },
    )
