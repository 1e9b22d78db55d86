"""What to do for one target, as far as a run can tell."""

from typing import Any

import pandas as pd
from tabulate import tabulate

from workflow_scripts.selection.plan import TIERS

MERGES = 3  # shown per supervision tier
NOTES = {
    "self": "the target's own model (needs its training data)",
    "best_zero_shot_val": "the best single source, chosen on validation data",
    "english": "the pivot's model",
    "average_all": "all other models averaged",
    "few_shot": "the best single source, fine-tuned on the validation data",
}


def advice(systems: pd.DataFrame, target: str, seeds: int) -> str:
    """Return a short text: what is best as chosen on validation data, and what each level of supervision offers.

    Parameters
    ----------
    systems : DataFrame
        The target's evaluation; the rows that are means over seeds count.
    target : str
    seeds : int
    """
    mean = systems[systems["seed"].astype(str) == "mean"]
    merges = mean[mean["system"] == "merge"].sort_values(["accuracy_validation", "experiment"], ascending=[False, True])
    single = mean[(mean["system"] == "best_zero_shot_val") & (mean["experiment"] == "")].iloc[0]
    rows = [_row(mean[(mean["system"] == name) & (mean["experiment"] == "")], note) for name, note in NOTES.items()]
    for tier in TIERS:
        of_tier = merges[merges["tier"] == tier].head(MERGES)
        rows += [_row(of_tier.iloc[[i]], f"merge {of_tier.iloc[i]['experiment']}") for i in range(len(of_tier))]
    table = tabulate([r for r in rows if r], headers="keys", tablefmt="simple", disable_numparse=True)
    return "\n\n".join([_headline(merges.iloc[0], single, target), table, _caveat(seeds)])


def _headline(merge: pd.Series, single: pd.Series, target: str) -> str:
    difference = 100 * (merge["accuracy"] - single["accuracy"])
    apart = merge["low"] > single["high"] or merge["high"] < single["low"]
    better = "better" if difference > 0 else "worse"
    verdict = f"{abs(difference):.1f} points {better}" if difference else "as accurate"
    return (
        f"{target}: chosen on validation data, the best merge is {merge['experiment']} and the best single source "
        f"{single['model']}. On test data the merge is {verdict}"
        f"{'; the intervals do not overlap.' if apart else '; the intervals overlap, so this may be noise.'}"
    )


def _row(found: pd.DataFrame, what: str) -> dict[str, Any]:
    if found.empty:
        return {}
    row = found.iloc[0]
    model = f" ({row['model']})" if row["model"] and row["system"] == "best_zero_shot_val" else ""
    return {
        "option": what + model,
        "supervision": row["tier"],
        "validation": "–" if pd.isna(row["accuracy_validation"]) else f"{100 * row['accuracy_validation']:.1f} %",
        "test [95 %]": f"{100 * row['accuracy']:.1f} [{100 * row['low']:.0f}, {100 * row['high']:.0f}] %",
        "n (clusters)": f"{row['n']:.0f} ({row['clusters']:.0f})",
    }


def _caveat(seeds: int) -> str:
    chosen = "Within a level of supervision, merges are ordered by validation accuracy, which is supervision itself."
    return chosen + (" One seed: descriptive, training noise is not in the intervals." if seeds == 1 else "")
