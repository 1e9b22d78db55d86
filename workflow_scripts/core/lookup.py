"""What is looked up or made: one protocol for trainings, measurements, cells, merges and tokenised texts.

An entry of the cache is known by a digest of everything that it is made of: digests of what went in, settings, code,
and the versions of the libraries that shape it. Beside its content lies a note of its making: what that took, with
which versions, on which machine. So whoever looks a result up can say how it was made. While a job runs, a record is
kept of the entries that its results are made of.
"""

import contextlib
import importlib.metadata
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from workflow_scripts.core.atomic import atomic_path, link_or_copy, read_json, remove, write_json
from workflow_scripts.core.costs import Cost, Stopwatch, total
from workflow_scripts.core.digests import digest_of, verify_file
from workflow_scripts.core.errors import DiskFullError, XlmergeError
from workflow_scripts.core.locks import turn

FORWARD = ("numpy", "tokenizers", "torch", "transformers")
SHAPED_BY = {  # kind of entry → the libraries that shape its content: with another version it is made anew
    "models": ("accelerate", *FORWARD),
    "measurements": FORWARD,
    "cells": FORWARD,
    "merges": FORWARD,
    "tokens": ("tokenizers", "transformers"),
    "states": FORWARD,
}
STATED = ("torch", "transformers", "accelerate", "tokenizers", "numpy", "pandas", "pyarrow", "datasets", "snakemake")
Making = dict[str, Any]  # ``cost``, ``versions``, ``host``
Content = TypeVar("Content")


class Entry:
    """The place of one thing in the cache.

    Parameters
    ----------
    root : path
        The cache's folder.
    kind : str
        A key of `SHAPED_BY`.
    made_of : mapping
        Everything that shapes the content, but the libraries.
    name : str, optional
        What a job calls it when it says what it computed.
    suffix : str
        Ending of the file; an entry without one is a folder.
    """

    def __init__(
        self, root: str | Path, kind: str, made_of: Mapping[str, Any], name: str | None = None, suffix: str = ""
    ) -> None:
        libraries = {library: release(versions()[library]) for library in SHAPED_BY[kind]}
        self.key, self.name = digest_of({**made_of, "libraries": libraries}), name
        self.path = Path(root) / kind / self.key[:2] / f"{self.key}{suffix}"
        self.scratch = Path(root) / "training" / self.key
        self._lock = Path(root) / "locks" / f"{self.key}.lock"
        self._note = self.path.with_name(f"{self.key}.making.json")

    def exists(self) -> bool:
        """Tell whether it is there; damage is not looked for."""
        return self.path.exists()

    def find(self, read: Callable[[Path], Content]) -> Content | None:
        """Return what `read` makes of the content, or None without one; what is damaged is reported and dropped."""
        if not self.exists():
            return None
        try:
            return self.get(read)
        except DiskFullError:
            raise
        except (XlmergeError, OSError, ValueError) as error:
            print(f"xlmerge: dropping a damaged entry of the cache: {error}", file=sys.stderr)
            remove(self.path)
            return None

    def get(self, read: Callable[[Path], Content]) -> Content:
        """Return what `read` makes of the content, which is known to be there."""
        content = read(self.path)
        if record := _record.get():
            record.used[self.key] = dict(read_json(self._note))
        return content

    @contextlib.contextmanager
    def stored(self, cost: Cost) -> Iterator[Path]:
        """Yield a temporary path for the content; afterwards it is in the cache, with the note of its making."""
        making = {"cost": cost, "versions": versions(), "host": platform.node()}
        with atomic_path(self.path) as temporary:
            yield temporary
            write_json(self._note, making)
        if record := _record.get():
            record.used[self.key] = making
            if self.name is not None:
                record.computed.add(self.name)

    def keep(self) -> None:
        """Note that the job's results are made of this as well, which the job itself need not read."""
        if record := _record.get():
            record.kept.add(self.key)

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Let only one job at a time make the entry: the same may still go on in another run, or as an orphan."""
        return turn(self._lock)


def deliver(
    entry: Entry, files: Mapping[str, str], outputs: Mapping[str, str], make: Callable[[Stopwatch], None]
) -> None:
    """Put the files of an entry at a job's outputs; the entry is made if it is not there.

    Parameters
    ----------
    entry : Entry
        A folder.
    files : mapping
        Output → file name; first the file that is verified, then its digest.
    outputs : mapping
    make : callable
        Stores the entry; is given a watch that was started for it.
    """

    def put(folder: Path) -> bool:
        content, digest = (folder / file for file in list(files.values())[:2])
        verify_file(content, digest)
        for name, file in files.items():
            link_or_copy(folder / file, outputs[name])
        return True

    with entry.turn():
        if not entry.find(put):
            make(Stopwatch())
            entry.get(put)


class Record:
    """What a job's results are made of.

    Attributes
    ----------
    used : dict of str to dict
        Key of an entry that was read or made → its making.
    kept : set of str
        Keys of entries that these were made from.
    computed : set of str
        Names of what was made, not looked up.
    """

    def __init__(self) -> None:
        self.used: dict[str, Making] = {}
        self.kept: set[str] = set()
        self.computed: set[str] = set()

    def facts(self) -> dict[str, Any]:
        """Return what the job's sidecar says of it; where nothing was looked up or made, only that."""
        entries = sorted({*self.used, *self.kept})
        makings = [making for _, making in sorted(self.used.items()) if making["cost"]]
        if not makings:
            return {"cache_entries": entries}
        stated: dict[str, set[str]] = {}
        for making in makings:
            for library, version in making["versions"].items():
                stated.setdefault(library, set()).add(version)
        return {
            "computed": sorted(self.computed),
            "making_cost": total(making["cost"] for making in makings),
            "made_on": sorted({making["host"] for making in makings}),
            "versions": {library: ", ".join(sorted(several)) for library, several in stated.items()},
            "cache_entries": entries,
        }


_record: ContextVar[Record | None] = ContextVar("record", default=None)


@contextlib.contextmanager
def recording() -> Iterator[Record]:
    """Keep a record of the entries that are read and made during the block."""
    record = Record()
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a sidecar states."""
    stated = {"python": platform.python_version()}
    for name in STATED:
        try:
            stated[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            stated[name] = "not installed"
    return stated


def release(version: str) -> str:
    """Return a version without the name of its build (``+cpu``): entries are not known by devices either."""
    return version.split("+", maxsplit=1)[0]
