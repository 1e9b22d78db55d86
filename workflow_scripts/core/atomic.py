"""Files that appear whole or not at all."""

import contextlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(final: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a unique temporary path beside `final`; rename it on success, delete it on error.

    Works for files and for directories; an existing directory is replaced. Unless `durable` is False, the content is on
    disk before the rename, so that not even a power cut leaves half of it.

    Raises
    ------
    OSError
        If the disk is full or the rename fails; `final` is then as it was before.
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".{final.name}.{uuid.uuid4().hex}.tmp"
    try:
        yield temporary
        if durable:
            _sync(temporary)
        if temporary.is_dir() and final.is_dir():
            shutil.rmtree(final)
        os.replace(temporary, final)
    finally:
        remove(temporary)


def _sync(path: Path) -> None:
    files = (p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())


def remove(path: Path) -> None:
    """Delete a file or a directory tree if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically: sorted keys, indented, NaN refused."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def for_json(value: Any) -> Any:
    """Return the same with null for numbers that JSON has no word for: missing, not defined or infinite ones."""
    if isinstance(value, dict):
        return {k: for_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [for_json(v) for v in value]
    import pandas as pd

    missing = value is pd.NA or (isinstance(value, float) and not math.isfinite(value))
    return None if missing else value


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def link_or_copy(source: Path, final: str | Path) -> None:
    """Put the content of `source` at `final`: a hard link where the file system allows it."""
    with atomic_path(final) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, temporary)
    os.utime(final)
