"""Rows of MASSIVE in one form, whatever they come from, and the files that a run keeps of them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core.atomic import write_text
from workflow_scripts.core.errors import XlmergeError, unknown
from workflow_scripts.data.providers.massive.facts import LABELS

SPLITS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}


class Row(NamedTuple):
    """One utterance; `partition` is the source's word for the split, `where` says where it stands."""

    id: str
    partition: str
    text: str
    label: str
    where: str


def write_locale(locale: str, rows: Iterable[Row], intents: Sequence[str], folder: Path) -> dict[str, int]:
    """Write a locale's rows to one JSONL file per split; return how many there are.

    Rows of other partitions than train, dev and test are left out: the competition's held-out set has no labels.

    Raises
    ------
    XlmergeError
        For an intent that MASSIVE does not have.
    """
    wanted = frozenset(intents)
    lines: dict[str, list[str]] = {}
    for row in rows:
        if row.partition not in SPLITS:
            continue
        if row.label not in LABELS:
            raise XlmergeError(f"{row.where}: {unknown('intent', row.label, LABELS)}")
        if row.label in wanted:
            example = {"id": row.id, "text": row.text, "label": row.label}
            lines.setdefault(SPLITS[row.partition], []).append(json.dumps(example, ensure_ascii=False))
    for split, found in lines.items():
        write_text(folder / f"{split}.jsonl", "\n".join(found) + "\n")
    return {split: len(found) for split, found in lines.items()}
