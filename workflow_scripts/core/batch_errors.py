"""What a batch system said about failed jobs; the rich logger leaves it to Snakemake's own log file."""

import re
from collections.abc import Iterable
from pathlib import Path

SHOWN = 10
MESSAGE = re.compile(r"^    message: (?!None$)(.+(?:\n(?! {4}|For further|\[).+)*)", re.MULTILINE)


def batch_system_errors(logs: Iterable[str | Path]) -> list[str]:
    """Return the messages of failed jobs in Snakemake's log files, each once, the first ones if there are many."""
    texts = (Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    messages = list(dict.fromkeys(message for text in texts for message in MESSAGE.findall(text)))
    rest = [f"{len(messages) - SHOWN} more messages are in Snakemake's log"] if len(messages) > SHOWN else []
    return messages[:SHOWN] + rest
