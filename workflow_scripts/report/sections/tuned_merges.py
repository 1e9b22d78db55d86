"""Tuned systems: what was tried, what validation data picked, and grids whose end was picked."""

import plotly.graph_objects as go

from workflow_scripts.core.words import percent, plural, points
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Block, Column, Note, Plot, Section, Table, table
from workflow_scripts.report.marks import with_code
from workflow_scripts.report.run_data import RunData
from workflow_scripts.results.tuning_curves import TuningCurve, tuning_curves


def section(data: RunData) -> Section:
    """Return the section on tuned systems, empty where the run has none."""
    curves = tuning_curves(data.results)
    if not curves:
        return Section("tuning", "Tuned", [])
    ends: list[Block] = [Note(with_code(_end(data, curve))) for curve in curves if curve.at_the_ends]
    return Section("tuning", "How long should a merge be?", [_plot(data, curves), _table(data, curves), *ends])


def _plot(data: RunData, curves: list[TuningCurve]) -> Plot:
    traces = [
        go.Scatter(
            x=curve.values,
            y=(100 * curve.test.mean()).tolist(),
            mode="lines+markers",
            name=data.results.titles[curve.name],
            line={"width": 2, "color": plots.PALETTE[i % len(plots.PALETTE)]},
            hovertemplate=f"<b>%{{fullData.name}}</b><br>{curve.parameter} %{{x}}: %{{y:.1f}} %<extra></extra>",
        )
        for i, curve in enumerate(curves)
    ]
    figure = plots.figure(traces, 420, xaxis={"title": "value"}, yaxis={"title": "mean test accuracy, %"})
    best = {data.results.titles[c.name]: c.test.mean().idxmax() for c in curves}
    said = "; ".join(f"{title}: {value:g}" for title, value in best.items())
    return Plot(
        "tuning-curves", "Accuracy against the tuned value",
        "Means over targets on test data. Which value counts for a target is decided on validation data; the best one "
        "here is seen in hindsight.",
        f"Line plot of {plural(len(curves), 'tuned system')}. Best in hindsight: {said}.",
        figure,
        picture="tuning_curve.png",
    )  # fmt: skip


def _table(data: RunData, curves: list[TuningCurve]) -> Table:
    rows = [
        {
            "title": data.results.titles[curve.name],
            "parameter": curve.parameter,
            "on": curve.on,
            "picked": ", ".join(f"{value:g}: {count}" for value, count in curve.counts.items()),
            "accuracy": accuracy,
            "hindsight": accuracy - curve.test.mean().max(),
        }
        for curve in curves
        for accuracy in [data.results.of_experiment(curve.name)["accuracy"].mean()]
    ]
    columns: dict[str, Column] = {
        "tuned system": "title",
        "tuned": "parameter",
        "picked by the validation data of": "on",
        "value: how often it was picked": "picked",
        "mean accuracy": ("accuracy", percent),
        "− best single value (in hindsight)": ("hindsight", points),
    }
    return table("What validation data picked, over targets and seeds; accuracies: means over targets", rows, columns)


def _end(data: RunData, curve: TuningCurve) -> str:
    """Return the sentence on a grid whose end was picked: the best value may lie beyond it."""
    ends = " and ".join(f"{value:g} ({plural(count, 'time')})" for value, count in curve.at_the_ends.items())
    return (
        f"{data.results.titles[curve.name]}: the end of the grid was picked, {ends} of {len(curve.picked)}. A better "
        f"value may lie beyond it: widen `tune: {{{curve.parameter}: …}}`."
    )
