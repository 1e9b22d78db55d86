"""Which intents are confused, by the single source and by the merge."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from workflow_scripts.report.html.blocks import Table, by_number, number_cell, text_cell
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.text import number, percent, points

SHADES = 5  # of the drawing


@dataclass(frozen=True)
class ConfusionMap:
    """A drawing of a confusion matrix: one square per pair of intents that occurs.

    Attributes
    ----------
    labels : list of str
        Gold labels by row, predicted ones by column, those that occur as either.
    squares : list of Markup
        SVG paths with titles.
    worst : str
        The most frequent confusion, in words.
    """

    labels: list[str]
    squares: list[Markup]
    worst: str

    @property
    def margin(self) -> int:
        """Room for the row labels, in squares."""
        return 1 + max(len(label) for label in self.labels) // 3


def confusion(gold: np.ndarray, predicted: np.ndarray, labels: int) -> np.ndarray:
    """Return counts, rows = gold label, columns = predicted label, of all seeds together.

    Parameters
    ----------
    gold : ndarray of int, shape (n,)
    predicted : ndarray of int, shape (seeds, n)
    labels : int
    """
    pairs = np.concatenate([gold * labels + row for row in predicted.astype(int)])
    return np.bincount(pairs, minlength=labels**2).reshape(labels, labels)


def intent_table(data: RunData, target: str) -> Table:
    """Return recall per intent of the single source, the merge and the own model."""
    labels = data.results.settings["labels"]
    gold, found = data.examples[target]["label"].to_numpy(), data.predictions[target]
    counts = {k: confusion(gold, getattr(found, k), len(labels)) for k in ("single", "merge", "own")}
    rows = []
    for i, label in enumerate(labels):
        n = int((gold == i).sum())
        if n:
            recall = {k: c[i, i] / c[i].sum() for k, c in counts.items()}
            change = recall["merge"] - recall["single"]
            rows.append(
                [
                    text_cell(label),
                    number_cell(number(n), n),
                    *(number_cell(percent(recall[k], 0), recall[k]) for k in ("single", "merge")),
                    number_cell(points(change, 0), change),
                    number_cell(percent(recall["own"], 0), recall["own"]),
                    text_cell(_mostly(counts["merge"][i], i, labels)),
                ]
            )
    rows = by_number(rows, 4)
    heads = ["intent", "n", "single source", "merge", "change", "own model", "the merge mostly takes it for"]
    caption = "Recall by intent: the single source and the merge chosen on validation data, and the own model"
    return Table(caption, heads, rows, filtered=len(rows) > 20)


def _mostly(counts: np.ndarray, own: int, labels: list[str]) -> str:
    """Return the most frequent wrong label of one intent with its share."""
    wrong = counts.copy()
    wrong[own] = 0
    most = int(wrong.argmax())
    return f"{labels[most]} ({percent(wrong[most] / counts.sum(), 0)})" if wrong[most] else "–"


def confusion_map(data: RunData, target: str) -> ConfusionMap:
    """Return the drawing of the chosen merge's confusions."""
    names = data.results.settings["labels"]
    gold = data.examples[target]["label"].to_numpy()
    counts = confusion(gold, data.predictions[target].merge, len(names))
    present = [i for i in range(len(names)) if counts[i].sum() or counts[:, i].sum()]
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    squares = [
        _square(row, column, shares[i, j], f"{names[i]} → {names[j]}: {percent(shares[i, j], 0)}", i == j)
        for row, i in enumerate(present)
        for column, j in enumerate(present)
        if counts[i, j]
    ]
    return ConfusionMap([names[i] for i in present], squares, _worst(counts, names))


def _square(row: int, column: int, share: float, title: str, right: bool) -> Markup:
    shade = min(SHADES, 1 + int(SHADES * share))
    return Markup('<path class="{}{}" d="M{} {}h1v1h-1z"><title>{}</title></path>').format(
        "r" if right else "w", shade, column, row, title
    )


def _worst(counts: np.ndarray, names: list[str]) -> str:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "The merge confuses nothing."
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    return (
        f"Most often {names[i]} is taken for {names[j]}: {percent(wrong[i, j] / counts[i].sum(), 0)} of its sentences."
    )
