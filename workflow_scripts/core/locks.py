"""Locks that go with the process which holds them, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from workflow_scripts.core.messages import warn


@contextlib.contextmanager
def turn(path: str | Path) -> Iterator[None]:
    """Hold a lock file during the block; whoever comes second waits.

    On a file system without locks a warning says so, and nobody waits.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                warn(f"{path} cannot be locked ({error}): make sure that no job of an earlier Snakemake still runs")
            if _is_at(path, handle):  # else it was cleared while we waited, and others lock a new file
                yield
                return


def clear(path: str | Path) -> bool:
    """Remove a lock file unless somebody holds it, or nobody can tell; say whether it was removed."""
    with open(path, "r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        Path(path).unlink(missing_ok=True)
    return True


def _is_at(path: str | Path, handle: IO[str]) -> bool:
    """Tell whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
