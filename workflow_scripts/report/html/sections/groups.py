"""Breakdown by family, genus, script and resource level."""

import plotly.graph_objects as go

from workflow_scripts.report.html import plotting
from workflow_scripts.report.html.blocks import Choice, Folded, Plot, Section, Table, number_cell, text_cell
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.text import percent, points
from workflow_scripts.results.tables import group_breakdown

GROUPS = {"family": "family", "genus": "genus", "script": "script", "resource_level": "resource level"}


def section(data: RunData) -> Section:
    """Return the section on groups of languages."""
    tables = [_table(data, group, title) for group, title in GROUPS.items()]
    return Section(
        "groups",
        "By family, script and resource level",
        [_plot(data), Folded("Means by family, genus, script and resource level", tables)],
    )


def _plot(data: RunData) -> Plot:
    chosen, fair = data.results.chosen_and_fair
    effect = 100 * (chosen - fair)
    groups = {title: [data.language(t)[g] for t in effect.index] for g, title in GROUPS.items()}
    first = next(iter(groups.values()))
    trace = go.Scatter(
        x=effect.tolist(),
        y=first,
        mode="markers",
        marker={"size": 11, "color": plotting.PALETTE[0]},
        text=[f"{data.language(t)['language']} ({t})" for t in effect.index],
        hovertemplate="<b>%{text}</b><br>%{y}<br>%{x:+.1f} points<extra></extra>",
    )
    figure = plotting.figure(
        [trace],
        max(260, 34 * max(len(set(g)) for g in groups.values()) + 90),
        xaxis={"title": "merge − single, percentage points", "zeroline": True,
               "zerolinewidth": 2},
        yaxis={"type": "category", "categoryorder": "category descending"},
    )  # fmt: skip
    return Plot(
        "group-effects", "Effect of the chosen merge by group",
        "One dot per target: merge − best single source, both chosen on validation data. A group of one or two "
        "languages is those languages, not a finding about the group.",
        f"Dot plot of {len(effect)} targets by family, genus, script or resource level; the effects go from "
        f"{points(effect.min() / 100)} to {points(effect.max() / 100)} points.",
        figure,
        [Choice("group by", {title: ({"y": [values]}, {}) for title, values in groups.items()})],
    )  # fmt: skip


def _table(data: RunData, group: str, title: str) -> Table:
    rows = [
        [
            text_cell(row.group),
            number_cell(str(row.targets), row.targets),
            number_cell(percent(row.self), row.self),
            number_cell(percent(row.best_zero_shot_val), row.best_zero_shot_val),
            number_cell(percent(row.accuracy), row.accuracy),
            number_cell(points(row.vs_best_zero_shot_val), row.vs_best_zero_shot_val),
            number_cell(points(row.effect_best), row.effect_best),
        ]
        for row in group_breakdown(data.results, data.details, group).itertuples()
    ]
    heads = [title, "targets", "own model", "best single source", "mean of merges", "− best single source",
             "− best own source (oracle)"]  # fmt: skip
    return Table(f"Means over all merges, by {title}", heads, rows)
