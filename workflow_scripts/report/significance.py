"""The report's section on what is significant."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workflow_scripts.core.words import bracketed, difference
from workflow_scripts.statistics.comparison import ACROSS, ORACLE
from workflow_scripts.statistics.contrasts import CHOSEN, EXPLORATORY, PRIMARY
from workflow_scripts.statistics.verdicts import LEVEL

Row = dict[str, Any]


def significance(table: pd.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the report says of the comparisons.

    Parameters
    ----------
    table : DataFrame
        ``statistics.csv``.
    facts : mapping
        ``statistics.json``.
    """
    across = table[table["scope"] == ACROSS]
    exploratory = across[(across["family"] == EXPLORATORY) & (across["tier"] != ORACLE)]
    chosen = exploratory[exploratory["experiment"] == CHOSEN].iloc[0]
    return {
        "primary": [_primary_row(row) for row in across[across["family"] == PRIMARY].to_dict("records")],
        "not_formed": facts["not_formed"],
        "exploratory": [_contrast_row(str(name), rows) for name, rows in exploratory.groupby("contrast", sort=False)],
        "comparisons": len(exploratory),
        "targets": facts["targets"],
        "chosen": {k: int(chosen[k]) for k in ("improved", "targets", "improved_chance_low", "improved_chance_high")},
        "best": facts["best_on_test"],
    }


def p_value(value: float) -> str:
    """Return a p to three digits; ``< 0.001`` below that."""
    return "–" if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _primary_row(row: Mapping[str, Any]) -> Row:
    columns = {
        "supervision": row["tier"],
        "comparison": row["contrast"],
        "which merge": CHOSEN if row["experiment"] == CHOSEN else f"`{row['experiment']}`",
        "targets": row["targets"],
        "difference [95 %]": difference(row["effect"], row["low"], row["high"]),
        "over seeds": _only_interval(row["seed_low"], row["seed_high"]),
        "over families": _only_interval(row["family_low"], row["family_high"]),
        "p": p_value(row["p"]),
        "p (Holm)": p_value(row["p_adjusted"]),
        "detectable": "–" if pd.isna(row["mde"]) else f"{100 * row['mde']:.1f}",
        "better / worse (by chance)": f"{row['improved']:.0f} / {row['hurt']:.0f} "
        f"({row['improved_chance_low']:.0f}–{row['improved_chance_high']:.0f})",
    }
    return {**columns, "verdict": f"**{row['verdict']}**"}


def _only_interval(low: float, high: float) -> str:
    return "–" if pd.isna(low) else bracketed(low, high)


def _contrast_row(name: str, rows: pd.DataFrame) -> Row:
    significant = rows[rows["p_adjusted"] <= LEVEL]
    return {
        "comparison": name,
        "merges": len(rows),
        "significantly better": int((significant["effect"] > 0).sum()),
        "significantly worse": int((significant["effect"] < 0).sum()),
        "not shown": len(rows) - len(significant),
        "range of differences": f"{100 * rows['effect'].min():+.1f} to {100 * rows['effect'].max():+.1f}",
        "median detectable": "–" if rows["mde"].isna().all() else f"{100 * rows['mde'].median():.1f}",
    }
