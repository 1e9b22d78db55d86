"""Method by target: what every merge did for every target."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from workflow_scripts.report.figures.merge_improvement_analysis import effect_matrix
from workflow_scripts.report.html import plotting
from workflow_scripts.report.html.blocks import Block, Choice, Folded, Plot, Section, Table, number_cell, text_cell
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.text import percent, plural, points
from workflow_scripts.results.tables import BESIDE_JOINT, joint_overview, pairwise


def section(data: RunData) -> Section:
    """Return the section with the matrix of experiments and targets, and methods against methods."""
    blocks: list[Block] = [_matrix(data), _overview(data)]
    joint = joint_overview(data.results)
    if len(joint):
        blocks.append(_joint(data, joint))
    pairs = pairwise(data.results)
    if len(pairs):
        blocks.append(Folded(f"Method against method: {plural(len(pairs), 'pair')}", [_pairs(pairs)]))
    return Section("methods", "Which merge for which target?", blocks)


def _matrix(data: RunData) -> Plot:
    results = data.results
    accuracy = np.stack(
        [results.of_experiment(n)["accuracy"].reindex(results.targets) for n in results.experiments], axis=1
    )
    views = {
        "merge − best single source (validation), points": effect_matrix(results, "best_zero_shot_val"),
        "merge − best of its own sources (oracle), points": effect_matrix(results, "best_source"),
        "accuracy, %": accuracy,
    }
    titles = [results.titles[name] for name in results.experiments]
    order = np.argsort(-np.nanmean(accuracy, axis=0), kind="stable")
    columns = [titles[i] for i in order]
    traces = {title: _trace(data, title, values[:, order], columns) for title, values in views.items()}
    first = next(iter(traces.values()))
    figure = plotting.figure(
        [first],
        max(340, 24 * len(results.targets) + 190),
        xaxis=plotting.category_axis(columns, tickangle=-45),
        yaxis=plotting.category_axis(results.targets, autorange="reversed"),
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
        f"{(effect > 0).sum()} merges are better than the target's best single source, {(effect < 0).sum()} worse; "
        f"the best gains {points(np.nanmax(effect))} points, the worst changes by {points(np.nanmin(effect))}.",
        figure,
        [Choice("show", options)],
    )  # fmt: skip


def _trace(data: RunData, title: str, values: np.ndarray, columns: list[str]) -> dict:
    results = data.results
    if title.startswith("accuracy"):
        look = {"colorscale": plotting.SEQUENTIAL, "zmin": 0, "zmax": 100}
    else:
        limit = float(np.nanmax(np.abs(100 * values))) or 1.0
        look = {"colorscale": plotting.BETTER_IS_ORANGE, "zmin": -limit, "zmax": limit}
    sizes = results.baseline("self")["n"]
    hover = [
        [_hover(f"{target}: {column}", title, values[i, j], sizes[target]) for j, column in enumerate(columns)]
        for i, target in enumerate(results.targets)
    ]
    trace = plotting.heat_map((100 * values).round(2).tolist(), results.targets, columns, hover, unit="", **look)
    made: dict = trace.to_plotly_json()
    return made


def _hover(cell: str, title: str, value: float, n: int) -> str:
    if np.isnan(value):
        return f"{cell} is not in this run"
    shown = percent(value) if title.startswith("accuracy") else f"{points(value)} points"
    return f"<b>{cell}</b><br>{title.split(',', maxsplit=1)[0]}: {shown}<br>n = {n:.0f}"


def _overview(data: RunData) -> Table:
    heads = ["merge", "supervision", "targets", "mean accuracy", "− best single (validation)", "better / worse",
             "− best own source (oracle)", "− mean of its sources", "−\u00a0ensemble"]  # fmt: skip
    rows = [
        [
            text_cell(row.title),
            text_cell(row.tier),
            number_cell(str(row.targets), row.targets),
            number_cell(percent(row.accuracy), row.accuracy),
            number_cell(points(row.vs_best_zero_shot_val), row.vs_best_zero_shot_val),
            number_cell(f"{row.improved_val} / {row.hurt_val}", row.improved_val),
            number_cell(points(row.effect_best), row.effect_best),
            number_cell(points(row.effect_mean), row.effect_mean),
            number_cell(points(row.vs_ensemble), row.vs_ensemble),
        ]
        for row in data.overview.sort_values("accuracy", ascending=False, kind="stable").itertuples()
    ]
    caption = (
        "Means over targets, differences in percentage points. Nearly every merge beats the mean of its sources: that "
        "column flatters. The ensemble asks the same sources one by one: as many forward passes as sources."
    )
    return Table(caption, heads, rows, filtered=len(rows) > 8)


def _joint(data: RunData, joint: pd.DataFrame) -> Table:
    rows = [
        [
            text_cell(data.results.titles[row["experiment"]]),
            number_cell(str(row["targets"]), row["targets"]),
            *(number_cell(percent(row[system]), row[system]) for system in BESIDE_JOINT),
        ]
        for row in joint.to_dict("records")
    ]
    heads = [
        "sources of",
        "targets",
        "merged",
        "ensemble",
        "trained together, steps of one",
        "trained together, all steps",
    ]
    caption = (
        "The same sources merged, asked one by one (the ensemble), or replaced by one model trained on all their "
        "training data, with one source’s number of steps, and with all sources’."
    )
    return Table(caption, heads, rows)


def _pairs(pairs: pd.DataFrame) -> Table:
    rows = [
        [
            text_cell(Markup("{} − {}").format(row.first, row.second)),
            number_cell(str(row.pairs), row.pairs),
            number_cell(points(row.mean_difference), row.mean_difference),
            number_cell(str(row.first_better), row.first_better),
            number_cell(str(row.equal), row.equal),
            number_cell(str(row.second_better), row.second_better),
        ]
        for row in pairs.sort_values("mean_difference", key=abs, ascending=False, kind="stable").itertuples()
    ]
    heads = ["methods", "pairs", "mean difference", "first better", "equal", "second better"]
    caption = "Method against method: same sources, same target, only the method differs; points, not tested."
    return Table(caption, heads, rows, filtered=len(rows) > 8)
