"""Packed logits: what a model said about every item of one or more locales, in one file; a row's files of them."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of, write_digest
from workflow_scripts.core.errors import XlmergeError

SPLITS = ("test", "validation")
COLUMNS = ("model", "seed", "locale", "split", "n", "correct", "accuracy", "loss")
PARTS = ("logits", "predictions", "correct", "losses")


@dataclass(frozen=True)
class Scores:
    """What a model said about n items.

    Attributes
    ----------
    logits : ndarray of float16, shape (n, labels)
    predictions : ndarray of int16, shape (n,)
        Arg max of the float32 logits.
    correct : ndarray of bool, shape (n,)
        Is the prediction the gold label?
    losses : ndarray of float32, shape (n,)
        Negative log-likelihood of the gold label, from the float32 logits.
    """

    logits: np.ndarray
    predictions: np.ndarray
    correct: np.ndarray
    losses: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return float(self.correct.mean())

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray) -> "Scores":
        """Return the scores of float32 logits (n, labels) against gold labels (n,)."""
        shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
        losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels]
        predictions = logits.argmax(1).astype(np.int16)
        return cls(logits.astype(np.float16), predictions, predictions == labels, losses.astype(np.float32))

    def replaced(self, rows: Sequence[int], other: "Scores") -> "Scores":
        """Return the scores with some items' taken from other scores of the same items."""
        parts = {part: getattr(self, part).copy() for part in PARTS}
        for part, values in parts.items():
            values[list(rows)] = getattr(other, part)[list(rows)]
        return Scores(**parts)

    def digest(self) -> str:
        """Return the digest of all values."""
        total = xxhash.xxh3_128()
        for part in PARTS:
            values = np.ascontiguousarray(getattr(self, part))
            total.update(f"{part} {values.dtype} {values.shape}".encode())
            total.update(values.tobytes())
        return total.hexdigest()


Packs = dict[str, dict[str, Scores]]  # split → locale → scores


def write_pack(path: str | Path, scores: dict[str, Scores]) -> None:
    """Write the scores of several locales, with their digests, atomically."""
    with atomic_path(path) as temporary:
        save_pack(temporary, scores)


def save_pack(path: str | Path, scores: dict[str, Scores]) -> None:
    """Write the same, in place."""
    tensors = {f"{name}/{part}": getattr(s, part) for name, s in scores.items() for part in PARTS}
    digests = {name: s.digest() for name, s in sorted(scores.items())}
    save_file(tensors, path, metadata={"digests": json.dumps(digests)})


def read_pack(path: str | Path, name: str) -> Scores:
    """Read and verify the scores of one locale; nothing else of the file is read.

    Raises
    ------
    XlmergeError
        If the file is damaged or lacks the locale.
    """
    try:
        with safe_open(path, "numpy") as file:
            digests = json.loads(file.metadata()["digests"])
            if name not in digests:
                raise XlmergeError(f"{path} has no scores of {name}; delete it and rerun")
            scores = Scores(*(file.get_tensor(f"{name}/{part}") for part in PARTS))
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise XlmergeError(f"{path} is damaged ({error}); delete it and rerun") from None
    if scores.digest() != digests[name]:
        raise XlmergeError(f"{path} is damaged: the scores of {name} do not match their digest; delete it and rerun")
    return scores


def write_row(outputs: dict[str, Any], packs: Packs, model: str, seed: int, locales: list[str]) -> None:
    """Write the packs, the table of cells and the row's digest."""
    for split in SPLITS:
        write_pack(outputs[split], packs[split])
    rows = [
        [model, seed, locale, split, len(scores.correct), int(scores.correct.sum()), scores.accuracy, _loss(scores)]
        for split in SPLITS
        for locale in locales
        for scores in [packs[split][locale]]
    ]
    with atomic_path(outputs["cells"]) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    digests = {f"{split}/{locale}": packs[split][locale].digest() for split in SPLITS for locale in locales}
    write_digest(outputs["digest"], digest_of([rows, digests]))


def _loss(scores: Scores) -> float:
    return float(scores.losses.mean(dtype=np.float64))
