"""A small dataset in the layout of MASSIVE's releases: parallel utterances, one JSONL file per locale in an archive."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from workflow_scripts.data.providers.massive.facts import LABELS, LOCALES

GROUPS = 3  # so many different "languages"; locales of one group understand each other


def group(locale: str) -> int:
    """Return the group of a locale."""
    return LOCALES.index(locale) % GROUPS


def utterance(locale: str, number: int, partition: str, labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """Return one utterance as the releases spell it; `number` is the same in all locales."""
    label = labels[number % len(labels)]
    words = [locale[:2], *label.split("_")]
    letters = {97 + i: 97 + (i + 9 * group(locale)) % 26 for i in range(26)}
    text = " ".join(words).translate(letters) + f" n{number}"
    row = {
        "id": str(number), "locale": locale, "partition": partition, "scenario": label.split("_")[0], "intent": label,
        "utt": text, "annot_utt": text, "worker_id": "1",
    }  # fmt: skip
    judgment = {"worker_id": "2", "intent_score": 1, "slots_score": 2, "grammar_score": 4, "spelling_score": 2}
    return row if locale == "en-US" else {**row, "slot_method": [], "judgments": [judgment]}


def content(locale: str, per_label: dict[str, int], labels: tuple[str, ...] = LABELS) -> str:
    """Return a locale's file: so many utterances per label and partition."""
    rows, number = [], 0
    for partition, count in per_label.items():
        for _ in range(count * len(labels)):
            rows.append(utterance(locale, number, partition, labels))
            number += 1
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


SMALL = {"train": 4, "dev": 1, "test": 2}


def write_archive(
    path: Path,
    locales: list[str],
    release: str = "1.1",
    per_label: dict[str, int] = SMALL,
    labels: tuple[str, ...] = LABELS,
) -> Path:
    """Write an archive with a licence and a file per locale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {f"{release}/LICENSE": "CC BY 4.0\n"}
    files |= {f"{release}/data/{locale}.jsonl": content(locale, per_label, labels) for locale in locales}
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def write_hub_cache(home: Path, hub: str, files: dict[str, str | bytes], commit: str = "c" * 40) -> None:
    """Write a dataset into a cache of the hub, as if its main branch had been downloaded to ``HF_HOME``."""
    folder = home / "hub" / f"datasets--{hub.replace('/', '--')}"
    for name, text in files.items():
        path = folder / "snapshots" / commit / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
