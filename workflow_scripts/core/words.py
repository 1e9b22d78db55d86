"""Numbers in words: shares, differences, p-values and counts look the same wherever they are told."""

import re
from collections.abc import Sequence
from math import inf
from typing import Any

UNKNOWN = "–"


def is_unknown(value: Any) -> bool:
    """Tell whether a number is None or NaN."""
    return value is None or bool(value != value)  # noqa: PLR0124  NaN is not itself


def percent(value: Any, digits: int = 1) -> str:
    """Return a share as ``71.3 %``."""
    return UNKNOWN if is_unknown(value) else f"{100 * value:.{digits}f}\u202f%"


def whole_percent(value: Any) -> str:
    """Return a share as ``71 %``."""
    return percent(value, 0)


def points(value: Any, digits: int = 1) -> str:
    """Return a difference in signed percentage points: ``+1.2``, ``−0.4``."""
    if is_unknown(value):
        return UNKNOWN
    shown = f"{100 * value:+.{digits}f}"
    return (shown if float(shown) else shown[1:]).replace("-", "−")


def unsigned_points(value: Any) -> str:
    """Return a difference whose direction is clear: ``1.2``, ``−0.4``."""
    return points(value).lstrip("+")


def percent_interval(value: Any, low: Any, high: Any) -> str:
    """Return ``71.3 % [65, 78]``."""
    shown = percent(value)
    return shown if is_unknown(value) or is_unknown(low) else f"{shown} [{100 * low:.0f}, {100 * high:.0f}]"


def points_interval(value: Any, low: Any, high: Any) -> str:
    """Return ``+1.2 [−0.4, +2.8]``."""
    shown = points(value)
    return shown if is_unknown(value) or is_unknown(low) else f"{shown} [{points(low)}, {points(high)}]"


def bracketed(low: float, high: float) -> str:
    """Return ``[-0.3, +2.7]``, for files: with the hyphen that programs read as a minus."""
    return f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def p_value(value: Any) -> str:
    """Return a p-value: three decimals where it is small, two elsewhere, ``< 0.001`` below that."""
    if is_unknown(value):
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def number(value: Any, digits: int = 0) -> str:
    """Return a number with thin spaces between thousands."""
    return UNKNOWN if is_unknown(value) else f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "−")


def with_minus(text: str) -> str:
    """Return a text with the minus sign of typography before numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def listed(words: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def first_of(words: Sequence[str], most: int) -> str:
    """Return ``a, b, c``, or the first of many: ``a, b and 7 more``."""
    rest = f" and {len(words) - most} more" if len(words) > most else ""
    return f"{', '.join(words[:most])}{rest}"


def plural(count: int, noun: str) -> str:
    """Return ``1 target``, ``9 targets``."""
    return f"{number(count)} {noun}" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """Return a duration as ``45 s``, ``3 min``, ``2.5 h`` or ``3.1 days``; ``–`` for one without an end."""
    if seconds == inf:
        return UNKNOWN
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
