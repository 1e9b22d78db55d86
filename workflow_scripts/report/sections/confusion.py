"""Which intents are confused, by the single source and by the merge."""

import numpy as np

from workflow_scripts.core.words import number, percent, points, whole_percent
from workflow_scripts.report.blocks import Column, Squares, Table, number_cell, table
from workflow_scripts.report.run_data import RunData

HOW_TO_READ = (
    "Confusions of the merge: rows are gold intents, columns, in the same order, what it took them for. Blue: right, "
    "orange: wrong, stronger: more often; point at a square for the share."
)


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
    gold, predictions = data.examples[target]["label"].to_numpy(), data.predictions[target]
    counts = {k: confusion(gold, getattr(predictions, k), len(labels)) for k in ("single", "merge", "own")}
    rows = [
        {"intent": label, "n": int((gold == i).sum()), "mostly": _mostly(counts["merge"][i], i, labels)}
        | {k: c[i, i] / c[i].sum() for k, c in counts.items()}
        for i, label in enumerate(labels)
        if (gold == i).any()
    ]
    columns: dict[str, Column] = {
        "intent": "intent",
        "n": ("n", number),
        "single source": ("single", whole_percent),
        "merge": ("merge", whole_percent),
        "change": lambda row: number_cell(points(row["merge"] - row["single"], 0), row["merge"] - row["single"]),
        "own model": ("own", whole_percent),
        "the merge mostly takes it for": "mostly",
    }
    caption = "Recall by intent: the single source and the merge chosen on validation data, and the own model"
    return table(caption, rows, columns).ordered("change")


def _mostly(counts: np.ndarray, own: int, labels: list[str]) -> str:
    """Return the most frequent wrong label of one intent with its share."""
    wrong = counts.copy()
    wrong[own] = 0
    most = int(wrong.argmax())
    return f"{labels[most]} ({percent(wrong[most] / counts.sum(), 0)})" if wrong[most] else "–"


def confusion_map(data: RunData, target: str) -> Squares:
    """Return the drawing of the chosen merge's confusions."""
    names = data.results.settings["labels"]
    gold = data.examples[target]["label"].to_numpy()
    counts = confusion(gold, data.predictions[target].merge, len(names))
    present = [i for i in range(len(names)) if counts[i].sum() or counts[:, i].sum()]
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    cells = [
        (row, column, float(shares[i, j]), f"{names[i]} → {names[j]}: {percent(shares[i, j], 0)}")
        for row, i in enumerate(present)
        for column, j in enumerate(present)
        if counts[i, j]
    ]
    worst = _worst(counts, names)
    alt = f"Confusion matrix of the merge, gold intents by row, predicted by column. {worst}"
    return Squares([names[i] for i in present], cells, f"{HOW_TO_READ} {worst}", alt)


def _worst(counts: np.ndarray, names: list[str]) -> str:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "The merge confuses nothing."
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    return (
        f"Most often {names[i]} is taken for {names[j]}: {percent(wrong[i, j] / counts[i].sum(), 0)} of its sentences."
    )
