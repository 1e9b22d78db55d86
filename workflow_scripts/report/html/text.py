"""How numbers and words look in the HTML report."""

import re
from typing import Any

import pandas as pd
from markupsafe import Markup

RIGHT_TO_LEFT = {"Adlm", "Arab", "Hebr", "Nkoo", "Rohg", "Syrc", "Thaa"}
VERDICTS = {
    "supported": ("good", "▲"),
    "contradicted": ("bad", "▼"),
    "undecided": ("plain", "◆"),
    "too few targets to tell": ("plain", "◇"),
    "merge": ("good", "▲"),
    "single source": ("plain", "●"),
    "fine-tune needed": ("bad", "✎"),
    "oracle": ("warn", "☉"),
}


def percent(value: Any, digits: int = 1) -> str:
    """Return a share as ``71.3 %``; nothing known is a dash."""
    return "–" if pd.isna(value) else f"{100 * value:.{digits}f}\u202f%"


def points(value: Any, digits: int = 1) -> str:
    """Return a difference in signed percentage points: ``+1.2``, ``−0.4``."""
    if pd.isna(value):
        return "–"
    shown = f"{100 * value:+.{digits}f}"
    return (shown if float(shown) else shown[1:]).replace("-", "−")


def percent_interval(value: Any, low: Any, high: Any) -> str:
    """Return ``71.3 % [65, 78]``."""
    return "–" if pd.isna(value) else percent(value) + ("" if pd.isna(low) else f" [{100 * low:.0f}, {100 * high:.0f}]")


def points_interval(value: Any, low: Any, high: Any) -> str:
    """Return ``+1.2 [−0.4, +2.8]``."""
    if pd.isna(value) or pd.isna(low):
        return points(value)
    return f"{points(value)} [{points(low)}, {points(high)}]"


def p_value(value: Any) -> str:
    """Return a p-value with two digits that matter."""
    if pd.isna(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def number(value: Any, digits: int = 0) -> str:
    """Return a number; nothing known is a dash."""
    return "–" if pd.isna(value) else f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "−")


def with_minus(text: str) -> str:
    """Return a text with the minus sign of typography before numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def listed(words: list[str]) -> str:
    """Return ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def plural(count: int, noun: str) -> str:
    """Return ``1 target``, ``9 targets``."""
    return f"{number(count)} {noun}" + ("" if count == 1 else "s")


def chip(word: str) -> Markup:
    """Return a verdict or an advice as a coloured word with a sign, so that colour is never alone."""
    kind, sign = VERDICTS.get(word, ("plain", "○"))
    return Markup('<span class="chip {}"><span aria-hidden="true">{}</span> {}</span>').format(kind, sign, word)


def foreign(text: str, locale: str, script: str) -> Markup:
    """Return a sentence with its language and direction, so that browsers choose the right font and order."""
    direction = "rtl" if script in RIGHT_TO_LEFT else "auto"
    return Markup('<span class="sentence" lang="{}" dir="{}">{}</span>').format(locale, direction, text)


def breakable(text: str) -> str | Markup:
    """Return a name that may be broken after its underscores."""
    return Markup("_<wbr>").join(text.split("_")) if "_" in text else text


def target_link(target: str) -> Markup:
    """Return a link to a target's page."""
    return Markup('<a href="#target-{0}">{0}</a>').format(target)
