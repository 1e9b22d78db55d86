"""Selection diagnostics: do the selectors find the sources that transfer."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import plotly.graph_objects as go

from workflow_scripts.core.words import number, percent, whole_percent
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Block, Column, Folded, Plot, Prose, Section, Table, number_cell, table
from workflow_scripts.report.run_data import RunData
from workflow_scripts.results.selection_diagnostics import WAY, selector_overview


def section(data: RunData) -> Section:
    """Return the section on what the selectors picked."""
    rows = selector_overview(data.diagnostics)
    names = selection_names(rows)
    named = {row["way"]: name for row, name in zip(rows, names, strict=True)}
    blocks: list[Block] = [_plot(rows, names), _table(rows, names), _ranks(data, named)]
    if observed := data.observed_shares:
        low = min(observed, key=lambda name: observed[name])
        text = (
            f"URIEL’s typological features are partly guessed: the share of observed ones is lowest for {low} "
            f"({observed[low]:.2f}) and {sum(observed.values()) / len(observed):.2f} on average."
        )
        rows = [{"locale": locale, "share": number(share, 2)} for locale, share in observed.items()]
        columns: dict[str, Column] = {"locale": "locale", "observed": "share"}
        shares = table("Share of observed typological features", rows, columns)
        blocks += [Prose(text), Folded("How much of URIEL is observed", [shares])]
    return Section("selection", "Do the selectors find the right sources?", blocks)


def selection_names(rows: list[dict]) -> list[str]:
    """Return a name for each way of selecting, of what differs between them."""
    varying = [k for k in ("selector", "k") if len({row[k] for row in rows}) > 1]
    return [" · ".join([row["similarity"], *(f"k={row[k]}" if k == "k" else row[k] for k in varying)]) for row in rows]


def _plot(rows: list[dict], names: list[str]) -> Plot:
    order = names[::-1]
    parts = (("chosen", "transfer", 0, "circle"), ("best possible (oracle)", "best possible", 1, "diamond-open"))
    traces = [
        go.Scatter(
            x=[100 * row[key] for row in rows],
            y=names,
            name=title,
            mode="markers",
            marker={"size": 12, "symbol": symbol, "color": plots.PALETTE[colour], "line": {"width": 2}},
            hovertemplate=f"<b>%{{y}}</b><br>{title}: %{{x:.1f}} %<extra></extra>",
        )
        for title, key, colour, symbol in parts
    ]
    figure = plots.figure(
        traces,
        max(220, 38 * len(names) + 120),
        xaxis={"title": "mean zero-shot accuracy, %"},
        yaxis=plots.category_axis(order),
    )
    best, worst = rows[0], rows[-1]
    return Plot(
        "selectors", "How well the chosen sources transfer",
        "Mean over targets of the zero-shot accuracy of the chosen sources; the diamond is that of the as "
        "many best ones, picked on the test data.",
        f"Dot plot of {len(rows)} ways of selecting. {names[0]} picks sources with {percent(best['transfer'])} on "
        f"average, {names[-1]} {percent(worst['transfer'])}; the best possible is {percent(best['best possible'])}.",
        figure,
    )  # fmt: skip


def _table(rows: list[dict], names: list[str]) -> Table:
    return table(
        "Ranks by zero-shot accuracy on the target’s test data, 1 = best, the target’s own model left out: near "
        "chance, a selector finds nothing. Per target: selection_diagnostics.csv.",
        [{**row, "name": name} for name, row in zip(names, rows, strict=True)],
        {
            "selection": "name",
            "supervision": "supervision",
            "mean rank (chance)": lambda row: number_cell(
                f"{row['mean rank']:.1f} ({row['chance']:.1f})", row["mean rank"]
            ),
            "among the best k": ("overlap", whole_percent),
            "mean transfer": ("transfer", percent),
            "best k (oracle)": ("best possible", percent),
        },
    )


def _ranks(data: RunData, names: Mapping[Any, str]) -> Folded:
    """Return the picks of every way of selecting, one by one: their ranks on each target."""
    rows = []
    for (target, seed), of_target in data.diagnostics.groupby(["target", "seed"], sort=False):
        ranks = of_target.set_index(WAY)["rank_by_transfer"].str.replace(";", ", ")
        rows.append({"target": target, "seed": seed, **{names[way]: ranks[way] for way in ranks.index}})
    columns: dict[str, Column] = {"target": "target", **({} if data.results.one_seed else {"seed": "seed"})}
    columns |= {name: partial(_of_selection, name) for name in names.values()}
    caption = "Ranks of the chosen sources by zero-shot accuracy on the target’s test data, most similar source first"
    return Folded("Ranks of the chosen sources, per target", [table(caption, rows, columns)])


def _of_selection(name: str, row: Mapping[str, Any]) -> str:
    return str(row.get(name, ""))
