"""Differences of accuracies in words, in percentage points: one way for the Markdown report, the advice, the ledger."""

from typing import Any


def difference(effect: Any, low: Any, high: Any) -> str:
    """Return ``+1.2 [-0.3, +2.7]``, the interval where it is known; a dash for an unknown difference."""
    import pandas as pd

    if pd.isna(effect):
        return "–"
    return f"{100 * effect:+.1f}" + ("" if pd.isna(low) else f" {bracketed(low, high)}")


def bracketed(low: Any, high: Any) -> str:
    """Return ``[-0.3, +2.7]``."""
    return f"[{100 * low:+.1f}, {100 * high:+.1f}]"
