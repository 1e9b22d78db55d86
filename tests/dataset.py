"""A small dataset of users' files, and the config of a run on it."""

import json
from pathlib import Path
from typing import Any

from tests.conftest import preset

SENTENCES = {
    "on": ["turn on the {} lamp", "switch the {} lamp on", "please put on the {} light"],
    "off": ["turn off the {} lamp", "switch the {} lamp off", "please put out the {} light"],
}
ROOMS = ["kitchen", "garden", "office", "attic", "cellar", "hall", "bath", "porch"]
SPLIT_OF_ROOM = ["train", "train", "train", "train", "train", "dev", "test", "test"]
LOCALES = ["en-US", "de-DE", "es-ES"]


def write_dataset(folder: Path, locales: list[str]) -> None:
    """Write one JSONL file per locale, split by a column."""
    folder.mkdir(parents=True, exist_ok=True)
    for locale in locales:
        rows = [
            {"utt": f"{locale[:2]} {template.format(room)}", "intent": intent, "partition": split, "group": template}
            for intent, templates in SENTENCES.items()
            for template in templates
            for room, split in zip(ROOMS, SPLIT_OF_ROOM, strict=True)
        ]
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{locale}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def local_config(locales: list[str], **changes: Any) -> dict[str, Any]:
    """Return the tiny preset on the files of `write_dataset`."""
    data = {
        "provider": "local_files", "folder": "data", "text_column": "utt", "label_column": "intent",
        "split_column": "partition", "split_names": {"validation": "dev"}, "cluster_column": "group",
    }  # fmt: skip
    return preset("tiny", **{"run": "own", "locales": locales, "labels": ["on", "off"], "data": data, **changes})


def edit_line(path: Path, line: int, old: str, new: str) -> None:
    """Replace a text in one line (numbered from 1) of a file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_text("\n".join(lines), encoding="utf-8")


def change_data(directory: Path, locale: str, split: str) -> None:
    """Change one sentence of one split (train, dev or test) of a locale."""
    path = directory / "data" / f"{locale}.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")
    number = next(i for i, line in enumerate(lines, 1) if f'"partition": "{split}"' in line)
    edit_line(path, number, " lamp", " old lamp")
