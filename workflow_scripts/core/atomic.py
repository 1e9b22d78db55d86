"""Files that appear whole or not at all."""

import contextlib
import errno
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workflow_scripts.core.errors import DiskFullError


@contextlib.contextmanager
def atomic_path(final: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a unique temporary path beside `final`; rename it on success, delete it on error.

    Works for files and for directories; an existing directory is replaced. Unless `durable` is False, the content is on
    disk before the rename, so that not even a power cut leaves half of it.

    Raises
    ------
    DiskFullError
        If the disk is full; `final` is then as it was before.
    OSError
        If the rename fails; likewise.
    """
    final = Path(final)
    with naming_full_disk(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        yield from _renamed(final, durable)


def _renamed(final: Path, durable: bool) -> Iterator[Path]:
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


@contextlib.contextmanager
def naming_full_disk(place: str | Path) -> Iterator[None]:
    """Turn whatever a full disk raises, while `place` is written, into one error that names it.

    Libraries say it in their own ways: torch's writer knows only that its stream failed.

    Raises
    ------
    DiskFullError
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        causes: list[BaseException] = [error]
        while cause := causes[-1].__cause__ or causes[-1].__context__:
            causes.append(cause)
        if not any(map(_is_of_a_full_disk, causes)):
            raise
        files = (Path(file) for cause in causes if (file := getattr(cause, "filename", None)))
        named = next((file for file in files if file.parent != Path(place).parent), place)
        raise DiskFullError(
            f"the disk is full: {named} cannot be written. Free some space and give the same command again; what is "
            "done is kept"
        ) from error


def _is_of_a_full_disk(error: BaseException) -> bool:
    text = str(error)
    return (
        getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
        or any(os.strerror(number) in text for number in (errno.ENOSPC, errno.EDQUOT))
        or (type(error) is RuntimeError and ("iostream error" in text or "inline_container" in text))
    )


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
