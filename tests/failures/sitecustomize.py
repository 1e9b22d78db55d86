"""Loaded by every Python of a run under test: makes one job fail just before a chosen file would appear.

``XLMERGE_FAULT`` is ``kind:pattern``; when a path that matches the pattern is about to be renamed into place, the
process is killed (``kill``), or its Snakemake (``head``), or an exception is raised (``raise``). The path is added to
the file that ``XLMERGE_FAULT_RECORD`` names.
"""

import os
import re
import signal

_kind, _, _pattern = os.environ.get("XLMERGE_FAULT", "").partition(":")
_replace = os.replace


def _faulty(source: object, target: object, **options: object) -> None:
    if re.search(_pattern, str(target)):
        with open(os.environ["XLMERGE_FAULT_RECORD"], "a") as record:
            record.write(f"{target}\n")
        if _kind == "raise":
            raise RuntimeError(f"injected fault before {target}")
        if _kind == "head":
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()  # the death of the head must take this process with it
        os.kill(os.getpid(), signal.SIGKILL)
    _replace(source, target, **options)  # type: ignore[call-overload]


if _kind:
    os.replace = _faulty  # type: ignore[assignment]
