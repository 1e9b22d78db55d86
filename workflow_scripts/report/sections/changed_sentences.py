"""Sentences that merging fixed and broke."""

import numpy as np
import pandas as pd

from workflow_scripts.core.words import number
from workflow_scripts.report.blocks import Beside, Block, Items, Prose, Section
from workflow_scripts.report.marks import Remark, Sentence, Tag, Text
from workflow_scripts.report.run_data import RunData

SHOWN = 10


def changed_sentences(data: RunData, target: str, single: str) -> list[Block]:
    """Return what the merge got right that the single source did not, and the reverse; with several seeds, mostly."""
    gold, predictions = data.examples[target]["label"].to_numpy(), data.predictions[target]
    difference = (predictions.merge == gold).mean(0) - (predictions.single == gold).mean(0)
    fixed, broken = np.flatnonzero(difference > 0), np.flatnonzero(difference < 0)
    text = (
        f"Of {number(len(gold))} test sentences the merge fixed {number(len(fixed))} and broke {number(len(broken))}, "
        f"compared with {single}’s model. Shown are sentences from different clusters, with their intent."
    )
    lists = [
        Section(f"target-{target}-{title.lower()}", title, [_examples(data, target, items, abs(difference))])
        for title, items in (("Fixed", fixed), ("Broken", broken))
    ]
    return [Prose(text), Beside(lists, "pair")]


def _examples(data: RunData, target: str, places: np.ndarray, size: np.ndarray) -> Block:
    """Return examples, the clearest first, no two from one cluster, the intents mixed."""
    examples = data.examples[target]
    order = pd.DataFrame({"item": places, "size": size[places], "cluster": examples["cluster"].to_numpy()[places],
                          "label": examples["label"].to_numpy()[places]})  # fmt: skip
    order = order.sort_values("size", ascending=False, kind="stable").drop_duplicates("cluster")
    order["turn"] = order.groupby("label").cumcount()
    chosen = order.sort_values(["turn", "size"], ascending=[True, False], kind="stable").head(SHOWN)["item"]
    return Items([_example(data, target, i) for i in chosen] or ["Nothing."], style="examples")


def _example(data: RunData, target: str, place: int) -> Text:
    row, labels = data.examples[target].iloc[place], data.results.settings["labels"]
    systems = (data.predictions[target].single, data.predictions[target].merge)
    single, merge = (labels[_majority(predicted[:, place])] for predicted in systems)
    sentence = Sentence(row["text"], target, data.language(target)["script"])
    return (sentence, " ", Tag(labels[row["label"]]), Remark(f"single source: {single} · merge: {merge}"))


def _majority(predictions: np.ndarray) -> int:
    """Return the label that most seeds predict, the first of equals."""
    return int(np.bincount(predictions.astype(int)).argmax())
