"""Errors that a user can act on: they say what is wrong, where, and what to do."""

import difflib
from collections.abc import Iterable


class XlmergeError(Exception):
    """A problem with the user's input or environment; printed without a traceback."""


class DiskFullError(XlmergeError):
    """There is no room for what was being written; nothing is damaged by it."""


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``"; did you mean 'x'?"``, or an empty string when nothing is close."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not among the known ones."""
    known = sorted(known)
    return f"unknown {kind} {word!r}{did_you_mean(word, known)} (known: {', '.join(known)})"
