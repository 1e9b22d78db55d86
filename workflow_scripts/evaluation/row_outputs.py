"""What a row job leaves: one pack per split, a small table, a digest."""

import csv
from typing import Any

import numpy as np

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of, write_digest
from workflow_scripts.evaluation.cells import SPLITS, Packs
from workflow_scripts.evaluation.packs import Scores, write_pack

COLUMNS = ("model", "seed", "locale", "split", "n", "correct", "accuracy", "loss")


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
