"""What merges are worth in labelled sentences of the target."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workflow_scripts.core.words import number, percent
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Block, Column, Plot, Prose, Section, Table, number_cell, table
from workflow_scripts.report.marks import Link, Text, marked
from workflow_scripts.report.run_data import RunData
from workflow_scripts.results.labelled_curves import FEWER, MORE, STARTS, labelled_curves
from workflow_scripts.selection.systems import FEW_SHOT, FEW_SHOT_BASE, title
from workflow_scripts.statistics.comparison import ACROSS, TARGET
from workflow_scripts.statistics.contrasts import CHOSEN

WHAT = {
    "none": "that needs no data of the target",
    "unlabelled": "that needs unlabelled text of the target",
    "labelled validation": "chosen on validation data",
}
Row = Mapping[str, Any]


def worth_in_labels(data: RunData) -> list[Text]:
    """Return a sentence per level of supervision: what its merge is worth, mean over targets."""
    prices = data.results.prices
    if prices.empty:
        return []
    across = prices[prices["scope"] == ACROSS].set_index(["tier", "start"])
    said = []
    for tier in across.index.unique("tier"):
        source, base = (across.loc[(tier, start)] for start in (FEW_SHOT, FEW_SHOT_BASE))
        said.append(
            marked(
                "The merge {} is worth **{} labelled sentences** of the target: with so many, the best single source, "
                "fine-tuned on them, reaches its {}. The base takes {}.",
                WHAT[tier],
                in_words(source),
                percent(source["accuracy"]),
                in_words(base),
            )
        )
    return said


def in_words(row: Row) -> str:
    """Return ``about 24 [fewer than 16, 61]``; an estimate beyond the curve says so itself."""
    about = one_number(row["sentences"], row["bound"])
    about = about if row["bound"] else f"about {about}"
    if np.isnan(row["low"]) or (row["bound"] and row["low_bound"] == row["high_bound"] == row["bound"]):
        return about
    low, high = (one_number(row[end], row[f"{end}_bound"]) for end in ("low", "high"))
    return f"{about} [{low}, {high}]"


def one_number(sentences: float, bound: str) -> str:
    """Return a number of sentences, or on which side of it the number lies."""
    return f"{bound} {number(sentences)}".strip()


def section(data: RunData) -> Section:
    """Return the section with the curves and the prices; it is empty in a run that did not train on labels."""
    prices = data.results.prices
    blocks: list[Block] = []
    if not prices.empty:
        blocks = [_plot(data), *_left_out(data), _table(data)]
    return Section("worth-in-labels", "What is a merge worth in labelled sentences?", blocks)


def _plot(data: RunData) -> Plot:
    prices = data.results.prices
    across = prices[(prices["scope"] == ACROSS) & (prices["start"] == FEW_SHOT)]
    traces = []
    for start, colour in zip(STARTS, plots.PALETTE, strict=False):
        curves = labelled_curves(data.results.mean, start)
        for i, (target, curve) in enumerate(curves.items()):
            traces.append(
                go.Scatter(
                    x=curve["sentences"].tolist(), y=(100 * curve["accuracy"]).tolist(), mode="lines+markers",
                    name=title(start), legendgroup=start, showlegend=i == 0, opacity=0.6,
                    line={"color": colour, "width": 1}, marker={"color": colour, "size": 5},
                    hovertemplate=f"{target}<br>%{{x:.0f}} sentences: %{{y:.1f}} %<extra></extra>",
                )
            )  # fmt: skip
    lines = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 100 * row["accuracy"], "y1": 100 * row["accuracy"],
         "line": {"dash": "dot", "width": 2, "color": plots.PALETTE[2 + i]}}
        for i, (_, row) in enumerate(across.iterrows())
    ]  # fmt: skip
    figure = plots.figure(
        traces,
        420,
        xaxis={"title": "labelled sentences of the target", "type": "log"},
        yaxis={"title": "test accuracy, %"},
        shapes=lines,
    )
    told = "; ".join(f"the merge {WHAT[row['tier']]}: {in_words(row)}" for _, row in across.iterrows())
    return Plot(
        "labelled-curves", "Training on more and more labelled sentences",
        "Each line is a target. Dotted: the merges’ mean accuracies. The best single source was chosen with all of the "
        "target’s validation sentences, also where it is trained on a few of them only, which favours the training. "
        "Where its curve, made to never fall, reaches a merge’s accuracy is the merge’s worth, interpolated on a "
        "logarithmic scale; intervals hold every number at which the two cannot be told apart.",
        f"Curves of accuracy against the number of labelled sentences. By the best single source’s: {told}.",
        figure,
        picture="worth_in_labels.png",
    )  # fmt: skip


def _left_out(data: RunData) -> list[Prose]:
    """Return which numbers of sentences some targets do not have."""
    curves = labelled_curves(data.results.mean, FEW_SHOT)
    every = {name for curve in curves.values() for name in curve["system"]}
    short = {t: len(every - set(curve["system"])) for t, curve in curves.items()}
    lacking = [f"{t} ({number(curves[t]['sentences'].max())})" for t, missing in short.items() if missing]
    if not lacking:
        return []
    text = (
        f"With fewer sentences than some numbers of the curve: {', '.join(lacking)}. Means are taken at the numbers "
        "that all targets have, and with all sentences."
    )
    return [Prose(text)]


def _table(data: RunData) -> Table:
    prices = data.results.prices
    rows = prices[prices["scope"] == TARGET].set_index(["target", "tier", "start"], drop=False)
    shown = []
    for target in data.results.targets:
        for tier in dict.fromkeys(prices["tier"]):
            if (target, tier, FEW_SHOT) in rows.index:
                source, base = rows.loc[(target, tier, FEW_SHOT)], rows.loc[(target, tier, FEW_SHOT_BASE)]
                shown.append({"target": target, "tier": tier, "source": source, "base": base})
    columns: dict[str, Column] = {
        "target": lambda row: Link(row["target"], f"#target-{row['target']}"),
        "merge": lambda row: _named(data, row["source"]),
        "supervision": "tier",
        "accuracy": lambda row: number_cell(percent(row["source"]["accuracy"]), row["source"]["accuracy"]),
        "worth, best source [95 %]": lambda row: _priced(row["source"]),
        "worth, base [95 %]": lambda row: _priced(row["base"]),
        "best source with all": lambda row: _all(row["source"]),
    }
    return table("What each target’s merge is worth in its labelled sentences.", shown, columns)


def _named(data: RunData, row: pd.Series) -> str:
    name = (
        data.results.chosen_with("labelled validation")[row["target"]]
        if row["experiment"] == CHOSEN
        else row["experiment"]
    )
    return data.results.titles.get(name, name)


def _priced(row: pd.Series) -> Any:
    beyond = {FEWER: -0.5, MORE: 0.5}.get(row["bound"], 0.0)
    return number_cell(in_words(row), row["sentences"] + beyond)


def _all(row: pd.Series) -> Any:
    return number_cell(f"{percent(row['accuracy_most'])} (n = {number(row['most'])})", row["accuracy_most"])
