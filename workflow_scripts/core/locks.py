"""Locks that go with the process which holds them, however it ends."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.core.job import warn


@contextlib.contextmanager
def turn(path: str | Path) -> Iterator[None]:
    """Hold a lock file during the block; whoever comes second waits.

    On a file system without locks a warning says so, and nobody waits.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            warn(f"{path} cannot be locked ({error}): make sure that no job of an earlier Snakemake is still running")
        yield
