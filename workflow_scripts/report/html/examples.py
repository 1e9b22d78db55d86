"""Sentences that merging fixed and broke."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.text import foreign

SHOWN = 10


@dataclass(frozen=True)
class Example:
    """A sentence, its intent, and what the two systems took it for."""

    text: Markup
    gold: str
    single: str
    merge: str


@dataclass(frozen=True)
class Changes:
    """What merging changed: how many sentences, and examples from different clusters."""

    n: int
    n_fixed: int
    n_broken: int
    fixed: list[Example]
    broken: list[Example]


def changes(data: RunData, target: str) -> Changes:
    """Return what the merge got right that the single source did not, and the reverse; with several seeds, mostly."""
    table, found = data.examples[target], data.predictions[target]
    gold = table["label"].to_numpy()
    difference = (found.merge == gold).mean(0) - (found.single == gold).mean(0)
    fixed, broken = np.flatnonzero(difference > 0), np.flatnonzero(difference < 0)
    return Changes(
        n=len(table),
        n_fixed=len(fixed),
        n_broken=len(broken),
        fixed=_examples(data, target, fixed, difference),
        broken=_examples(data, target, broken, -difference),
    )


def _examples(data: RunData, target: str, items: np.ndarray, size: np.ndarray) -> list[Example]:
    """Return examples, the clearest first, no two from one cluster, the intents mixed."""
    table, found = data.examples[target], data.predictions[target]
    labels = data.results.settings["labels"]
    order = pd.DataFrame({"item": items, "size": size[items], "cluster": table["cluster"].to_numpy()[items],
                          "label": table["label"].to_numpy()[items]})  # fmt: skip
    order = order.sort_values("size", ascending=False, kind="stable").drop_duplicates("cluster")
    order["turn"] = order.groupby("label").cumcount()
    chosen = order.sort_values(["turn", "size"], ascending=[True, False], kind="stable").head(SHOWN)["item"]
    script = data.language(target)["script"]
    return [
        Example(
            foreign(table["text"].iloc[i], target, script),
            labels[table["label"].iloc[i]],
            *(labels[_majority(system[:, i])] for system in (found.single, found.merge)),
        )
        for i in chosen
    ]


def _majority(predictions: np.ndarray) -> int:
    """Return the label that most seeds predict, the first of equals."""
    return int(np.bincount(predictions.astype(int)).argmax())
