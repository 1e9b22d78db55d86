"""How every job of the workflow runs: threads, log, clean errors, provenance, death with its parent."""

import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.gpus import claim_gpus
from workflow_scripts.core.provenance import sidecar


def run_job(main: Callable[..., dict[str, Any] | None], snakemake: Any) -> None:
    """Call ``main(inputs, outputs, settings, threads)`` as a job of the workflow.

    ``settings`` is the decoded JSON of the param of that name. What `main` returns goes into the sidecar (the output
    named ``info``), beside the settings, versions, times and input digests. Output goes into the log file. An
    `XlmergeError` is shown as one message without a traceback.
    """
    die_with_parent()
    gc.set_threshold(100_000, 50, 50)  # collecting while torch is imported costs a fifth of a short job
    outputs = dict(snakemake.output.items())
    inputs = dict(snakemake.input.items())
    params = dict(snakemake.params.items())
    settings = {**params, **json.loads(params.pop("settings"))}
    watch = Stopwatch()
    with logged(str(snakemake.log[0]) if snakemake.log else None):
        try:
            if gpus := snakemake.resources.get("gpu"):  # from profiles/workstation; a batch system grants by itself
                claim_gpus(int(gpus))
            facts = main(inputs, outputs, settings, snakemake.threads)
        except XlmergeError as error:
            print(f"xlmerge: error in {snakemake.rule}: {error}", file=sys.stderr, flush=True)
            sys.exit(1)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
    if "info" in outputs:
        write_json(outputs["info"], sidecar(snakemake.rule, settings, inputs, watch, facts or {}))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # taking torch apart would cost another second


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it dies, so that no job outlives its head."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() == 1:  # the parent died before the call above
            os.kill(os.getpid(), signal.SIGKILL)


_TERMINAL: list[int] = []  # standard error as it was before it was sent to the log


def warn(message: str) -> None:
    """Tell the user about something that does not stop the run: in the log and on the terminal."""
    say(f"warning: {message}")


def say(message: str) -> None:
    """Tell the user something: in the log and on the terminal."""
    text = f"xlmerge: {message}"
    print(text, file=sys.stderr, flush=True)
    for descriptor in _TERMINAL:
        os.write(descriptor, (text + "\n").encode())


@contextlib.contextmanager
def logged(path: str | None) -> Iterator[None]:
    """Send file descriptors 1 and 2 to the log file (Snakemake shows it when the job fails)."""
    if path is None:
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    saved = [os.dup(1), os.dup(2)]
    _TERMINAL.append(saved[1])
    with open(path, "wb", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            _TERMINAL.clear()
            for descriptor, copy in enumerate(saved, 1):
                os.dup2(copy, descriptor)
                os.close(copy)
