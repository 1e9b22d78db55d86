"""What a finished run says of one target, without reading more than its evaluation and the recommendations."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from workflow_scripts.core.words import number, percent, percent_interval, with_minus
from workflow_scripts.report.blocks import Block, Prose, number_cell, table
from workflow_scripts.selection.systems import BEST_SINGLE, MERGE, TIERS, usable

MERGES = 3  # shown per level of supervision
SUPERVISION = {
    "none": "without any data",
    "unlabelled": "with unlabelled text",
    "labelled validation": "with labelled validation data",
}
VERBS = {
    "merge": "merge",
    "single source": "single source",
    "train on the labels": "train on the labels:",
    "fine-tune needed": "fine-tune; until then",
}


def advice(systems: pd.DataFrame, recommendations: pd.DataFrame, target: str) -> list[Block]:
    """Return what `recommendations.csv` says about a target, then what it was chosen from.

    Parameters
    ----------
    systems : DataFrame
        The target's evaluation; the rows that are means over seeds count.
    recommendations : DataFrame
    target : str
    """
    own = recommendations[recommendations["target"] == target].sort_values("primary", ascending=False, kind="stable")
    said = [Prose(text) for _, row in own.iterrows() for text in _recommendation(row)]
    options = table(
        "What it was chosen from; within a level of supervision, merges are ordered by validation accuracy, which is "
        "supervision itself.",
        list(_options(systems[systems["seed"].astype(str) == "mean"])),
        {
            "option": "option",
            "supervision": "tier",
            "validation": ("accuracy_validation", percent),
            "test [95 %]": lambda row: number_cell(
                percent_interval(row["accuracy"], row["low"], row["high"]), row["accuracy"]
            ),
            "n (clusters)": lambda row: f"{number(row['n'])} ({number(row['clusters'])})",
        },
    )
    one_seed = [Prose("One seed: descriptive, training noise is not in the intervals.")]
    return [*said, options, *(one_seed if own["seeds"].iloc[0] == 1 else [])]


def _recommendation(row: pd.Series) -> tuple[str, str]:
    expected = percent_interval(row["expected_accuracy"], row["low"], row["high"])
    return (
        f"{row['target']}, {SUPERVISION[row['tier']]}: {VERBS[row['advice']]} {row['what']}, expected accuracy "
        f"{expected}, confidence {row['confidence']}.",
        with_minus(row["reason"]),
    )


def _options(mean: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for system in usable("target"):
        for _, row in mean[(mean["system"] == system.name) & (mean["experiment"] == "")].iterrows():
            named = f"{system.title} ({row['model']})" if system.name == BEST_SINGLE else system.title
            yield {**row, "option": named}
    merges = mean[mean["system"] == MERGE].sort_values(["accuracy_validation", "experiment"], ascending=[False, True])
    for tier in TIERS:
        for _, row in merges[merges["tier"] == tier].head(MERGES).iterrows():
            yield {**row, "option": f"merge {row['experiment']}"}
