"""What a job tells the user, in its log and on the terminal, and what a batch system says of one that failed."""

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

SHOWN = 10
MESSAGE = re.compile(r"^    message: (?!None$)(.+(?:\n(?! {4}|For further|\[).+)*)", re.MULTILINE)

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


def fail(message: str) -> None:
    """Say in the log why a job fails, from where Snakemake shows it; on the terminal if the log cannot be written."""
    text = f"xlmerge: {message}"
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:  # on a full disk
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


def batch_system_errors(logs: Iterable[str | Path]) -> list[str]:
    """Return the messages of failed jobs in Snakemake's log files, each once, the first ones if there are many."""
    texts = (Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    messages = list(dict.fromkeys(message for text in texts for message in MESSAGE.findall(text)))
    rest = [f"{len(messages) - SHOWN} more messages are in Snakemake's log"] if len(messages) > SHOWN else []
    return messages[:SHOWN] + rest
