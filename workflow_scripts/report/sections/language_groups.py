"""Breakdown by family, genus, script and resource level."""

import plotly.graph_objects as go

from workflow_scripts.core.words import number, percent, points
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Choice, Folded, Plot, Prose, Section, Table, table
from workflow_scripts.report.run_data import RunData
from workflow_scripts.results.tables import group_breakdown

GROUPS = {"family": "family", "genus": "genus", "script": "script", "resource_level": "resource level"}
RESOURCES = (
    "Resource level: text of the language in CC-100, on which XLM-R was pretrained (high from 20 GiB, medium from 5)."
)


def section(data: RunData) -> Section:
    """Return the section on groups of languages."""
    tables = [_table(data, group, title) for group, title in GROUPS.items()]
    return Section(
        "groups",
        "By family, script and resource level",
        [_plot(data), Folded("Means by family, genus, script and resource level", [*tables, Prose(RESOURCES, "fine")])],
    )


def _plot(data: RunData) -> Plot:
    effect = 100 * data.differences
    groups = {title: [data.language(t)[g] for t in effect.index] for g, title in GROUPS.items()}
    first = next(iter(groups.values()))
    trace = go.Scatter(
        x=effect.tolist(),
        y=first,
        mode="markers",
        marker={"size": 11, "color": plots.PALETTE[0]},
        text=[data.named(t) for t in effect.index],
        hovertemplate="<b>%{text}</b><br>%{y}<br>%{x:+.1f} points<extra></extra>",
    )
    figure = plots.figure(
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
    return table(
        f"Means over all merges, by {title}",
        group_breakdown(data.results, data.compared_merges, group).to_dict("records"),
        {
            title: "group",
            "targets": ("targets", number),
            "own model": ("self", percent),
            "best single source": ("best_zero_shot_val", percent),
            "mean of merges": ("accuracy", percent),
            "− best single source": ("vs_best_zero_shot_val", points),
            "− best own source (oracle)": ("effect_best", points),
        },
    )
