"""Durations and sizes in words."""

from math import inf


def duration(seconds: float) -> str:
    """Return a duration as ``45 s``, ``3 min``, ``2.5 h`` or ``3.1 days``; ``–`` for one without an end."""
    if seconds == inf:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours = seconds / 3600
    return f"{seconds / 60:.0f} min" if hours < 1 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def size(count: float) -> str:
    """Return a number of bytes as ``12 MB``, ``1.5 GB`` or ``2.2 TB``."""
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.1f} GB" if count < 1e12 else f"{count / 1e12:.1f} TB"


def hours(seconds: float) -> str:
    """Return a number of hours as ``0.2``, ``3.1`` or ``185``."""
    count = seconds / 3600
    return f"{count:.1f}" if count < 100 else f"{count:.0f}"
