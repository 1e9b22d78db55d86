"""Accuracy against the number of sources."""

import pandas as pd
import plotly.graph_objects as go

from workflow_scripts.core.words import listed, number, percent, plural
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Column, Plot, Prose, Section, table
from workflow_scripts.report.run_data import RunData
from workflow_scripts.results.run_results import short_titles
from workflow_scripts.selection.systems import AVERAGE_ALL, BEST_SINGLE, SELF, TOP1


def section(data: RunData) -> Section:
    """Return the section with accuracy against the number of sources."""
    means = accuracy_by_size(data)
    sizes = sorted(set(means["k"]))
    merged = [k for k in sizes if k > 1]
    text = "One source is the selector’s first choice, taken alone; “average_all” averages every other model."
    if len(merged) == 1:
        text = f"This run merges {merged[0]} sources only: sweep num_languages to learn how many are best. {text}"
    return Section("sources", "How many sources?", [_plot(data, means, sizes), Prose(text)])


def accuracy_by_size(data: RunData) -> pd.DataFrame:
    """Return ``series``, ``k``, ``accuracy``, ``targets``: means over the targets that all sizes of a series have."""
    results = data.results
    titles = short_titles({n: {**e, "num_languages": 0} for n, e in results.experiments.items()})
    series: dict[str, dict[int, list[str]]] = {}
    for name in results.experiments:
        k = int(data.details.loc[data.details["experiment"] == name, "num_sources"].median())
        series.setdefault(titles[name], {}).setdefault(k, []).append(name)
    rows = []
    for title, sizes in series.items():
        columns = {k: _mean([results.of_experiment(n)["accuracy"] for n in names]) for k, names in sizes.items()}
        if 1 not in columns:
            smallest = sizes[min(sizes)]
            columns[1] = _mean([results.of_experiment(n, TOP1)["accuracy"] for n in smallest])
        common = pd.DataFrame(columns).dropna()
        rows += [
            {"series": title, "k": k, "accuracy": common[k].mean(), "targets": len(common)} for k in sorted(common)
        ]
    everything = results.baseline(AVERAGE_ALL)["accuracy"].dropna()
    if len(everything):
        k = len(results.settings["locales"]) - 1
        rows.append({"series": AVERAGE_ALL, "k": k, "accuracy": everything.mean(), "targets": len(everything)})
    return pd.DataFrame(rows)


def _mean(columns: list[pd.Series]) -> pd.Series:
    return pd.concat(columns, axis=1).mean(axis=1)


def _plot(data: RunData, means: pd.DataFrame, sizes: list[int]) -> Plot:
    methods = {title: title.split(" · ")[0] for title in means["series"]}
    distinct = list(dict.fromkeys(methods.values()))
    colours = {t: plots.PALETTE[distinct.index(m) % len(plots.PALETTE)] for t, m in methods.items()}
    traces = [
        go.Scatter(
            x=part["k"].tolist(),
            y=(100 * part["accuracy"]).tolist(),
            name=title,
            mode="lines+markers",
            line={"color": colours[title], "width": 2},
            marker={"symbol": plots.SYMBOLS[i % len(plots.SYMBOLS)], "size": 9},
            hovertemplate=f"<b>{title}</b><br>%{{x}} sources: %{{y:.1f}} %<br>{part['targets'].iloc[0]} targets"
            "<extra></extra>",
        )
        for i, (title, part) in enumerate(means.groupby("series", sort=False))
    ]
    single = 100 * data.results.baseline(BEST_SINGLE)["accuracy"].mean()
    own = data.results.baseline(SELF)["accuracy"].mean()
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": single, "y1": single,
            "line": {"dash": "dot", "width": 2, "color": plots.GREY}}  # fmt: skip
    figure = plots.figure(
        traces,
        460,
        xaxis={"title": "sources", "tickvals": sizes, "range": [min(sizes) - 0.4, max(sizes) + 0.4]},
        yaxis={"title": "mean test accuracy, %"},
        shapes=[line],
    )
    best = means.loc[means["accuracy"].idxmax()]
    columns: dict[str, Column] = {
        "merge": "series",
        "sources": ("k", number),
        "mean accuracy": ("accuracy", percent),
        "targets": ("targets", number),
    }
    return Plot(
        "by-size", "Mean accuracy by number of sources",
        "Means over targets, colours are methods. Dotted: the best single source chosen on validation data "
        f"({single:.1f} %); own models average {percent(own)}. Differences with their intervals are in the section "
        "“Did merging pay against the best single source?”.",
        f"Lines of mean accuracy for {listed([str(k) for k in sizes])} sources. The highest mean, "
        f"{percent(best['accuracy'])}, is that of {best['series']} with {plural(int(best['k']), 'source')}.",
        figure,
        table=table("Mean accuracy by number of sources", means.to_dict("records"), columns),
    )  # fmt: skip
