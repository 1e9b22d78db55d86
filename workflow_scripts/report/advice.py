"""The recommendations of a run in words: for the report, and for one target on the terminal."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from tabulate import tabulate

from workflow_scripts.core.words import difference
from workflow_scripts.selection.systems import TIERS

POLICIES_OF = "labelled validation"  # the tier whose policies the report shows one by one
MERGES = 3  # shown per supervision tier
NOTES = {
    "self": "the target's own model (needs its training data)",
    "best_zero_shot_val": "the best single source, chosen on validation data",
    "english": "the pivot's model",
    "average_all": "all other models averaged",
    "few_shot": "the best single source, fine-tuned on the validation data",
}
SUPERVISION = {
    "none": "without any data",
    "unlabelled": "with unlabelled text",
    "labelled validation": "with labelled validation data",
}
VERBS = {"merge": "merge", "single source": "single source", "fine-tune needed": "fine-tune; until then"}


def report_section(recommendations: pd.DataFrame, predictor: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the report's section on advice shows.

    Parameters
    ----------
    recommendations : DataFrame
        ``report/recommendations.csv``.
    predictor : mapping
        ``report/predictor.json``.
    """
    tiers = {tier: predictor["tiers"][tier] for tier in TIERS if tier in predictor["tiers"]}
    return {
        "targets": [_target(row) for _, row in recommendations[recommendations["primary"]].iterrows()],
        "tiers": [{"name": name, **_findings(found)} for name, found in tiers.items()],
        "policies": _policies(tiers[POLICIES_OF]) if POLICIES_OF in tiers else [],
        "descriptive": any(found["descriptive"] for found in tiers.values()),
        "criteria": predictor["criteria"],
    }


def _target(row: pd.Series) -> dict[str, str]:
    return {
        "target": row["target"],
        "language": row["language"],
        "advice": f"{VERBS[row['advice']]} `{row['what']}`",
        "expected accuracy": _interval(row["expected_accuracy"], row["low"], row["high"]),
        "− alternative": difference(row["difference"], row["difference_low"], row["difference_high"]),
        "alternative": "none" if pd.isna(row["alternative"]) else f"`{row['alternative']}`",
        "confidence": row["confidence"],
        "self": f"{100 * row['self_accuracy']:.1f}",
    }


def _findings(found: Mapping[str, Any]) -> dict[str, str]:
    model = found["predictor"]
    if model is None:
        return {"statement": found["statement"], "predictor": " Too few targets for a predictor."}
    quality = model["leave_one_target_out"]
    p = "" if model["p"] is None else f", permutation p = {model['p']:.3f}"
    error = f"mean error {100 * quality['mae']:.1f} points"
    text = f" Effects on left-out targets are predicted with R² {quality['r2']:.2f}{p}, {error}."
    return {"statement": found["statement"], "predictor": text}


def _policies(found: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "policy": f"`{row['policy']}`",
            "what it does": row["description"],
            "merges": f"{100 * row['merges']:.0f} %",
            "regret": _of(row["regret"]),
            "less than never": _of(row["less_than_never"]),
        }
        for row in found["policies"]
    ]


def _of(mean: Mapping[str, float | None]) -> str:
    return difference(mean["value"], mean["low"], mean["high"])


def _interval(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} [{100 * low:.0f}, {100 * high:.0f}] %"


def advice(systems: pd.DataFrame, recommendations: pd.DataFrame, target: str) -> str:
    """Return a short text: what `recommendations.csv` says about a target, then what it was chosen from.

    Parameters
    ----------
    systems : DataFrame
        The target's evaluation; the rows that are means over seeds count.
    recommendations : DataFrame
    target : str
    """
    mean = systems[systems["seed"].astype(str) == "mean"]
    merges = mean[mean["system"] == "merge"].sort_values(["accuracy_validation", "experiment"], ascending=[False, True])
    rows = [_option(mean[(mean["system"] == name) & (mean["experiment"] == "")], note) for name, note in NOTES.items()]
    for tier in TIERS:
        of_tier = merges[merges["tier"] == tier].head(MERGES)
        rows += [_option(of_tier.iloc[[i]], f"merge {of_tier.iloc[i]['experiment']}") for i in range(len(of_tier))]
    table = tabulate([r for r in rows if r], headers="keys", tablefmt="simple", disable_numparse=True)
    own = recommendations[recommendations["target"] == target].sort_values("primary", ascending=False, kind="stable")
    return "\n\n".join([*(_headline(row) for _, row in own.iterrows()), table, _caveat(int(own["seeds"].iloc[0]))])


def _headline(row: pd.Series) -> str:
    known = SUPERVISION[row["tier"]]
    expected = _interval(row["expected_accuracy"], row["low"], row["high"])
    return (
        f"{row['target']}, {known}: {VERBS[row['advice']]} {row['what']}, expected accuracy {expected}, confidence "
        f"{row['confidence']}.\n{row['reason']}"
    )


def _option(found: pd.DataFrame, what: str) -> dict[str, Any]:
    if found.empty:
        return {}
    row = found.iloc[0]
    model = f" ({row['model']})" if row["model"] and row["system"] == "best_zero_shot_val" else ""
    return {
        "option": what + model,
        "supervision": row["tier"],
        "validation": "–" if pd.isna(row["accuracy_validation"]) else f"{100 * row['accuracy_validation']:.1f} %",
        "test [95 %]": _interval(row["accuracy"], row["low"], row["high"]),
        "n (clusters)": f"{row['n']:.0f} ({row['clusters']:.0f})",
    }


def _caveat(seeds: int) -> str:
    chosen = "Within a level of supervision, merges are ordered by validation accuracy, which is supervision itself."
    return chosen + (" One seed: descriptive, training noise is not in the intervals." if seeds == 1 else "")
