"""What to do for each target: chosen on validation data, judged on test data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.intervals import Accuracy, clustered_accuracy
from workflow_scripts.findings.predictor.evidence import Evidence
from workflow_scripts.findings.predictor.options import LABELLED, Option, TargetChoice, choose
from workflow_scripts.selection.systems import FEW_SHOT, SELF
from workflow_scripts.statistics.differences import paired_differences
from workflow_scripts.statistics.one_target import cluster_interval
from workflow_scripts.statistics.verdicts import SEEDS

ADVISED = ("none", "unlabelled", "labelled validation")  # who has training labels trains
PRIMARY = "labelled validation"
FINE_TUNE_BELOW = 0.75  # share of what other languages' own models reach
COLUMNS = (
    "target", "language", "tier", "primary", "advice", "what", "expected_accuracy", "low", "high", "confidence",
    "alternative", "difference", "difference_low", "difference_high", "validation_accuracy", "best_source",
    "best_source_val", "best_source_accuracy", "best_merge", "best_merge_val", "best_merge_accuracy", "self_accuracy",
    "gap_to_self", "few_shot_accuracy", "few_shot_low", "few_shot_high", "seeds", "n", "clusters", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """A paired difference of two options on test data, its 95 % interval, and its value in each seed."""

    value: float
    low: float
    high: float
    seeds: np.ndarray


def recommendations(evidence: Evidence) -> pd.DataFrame:
    """Return one row per target and supervision tier, columns `COLUMNS`; ``primary`` marks the row to show first.

    ``advice``, ``what``, ``alternative`` and everything that they are chosen by come from validation data alone.
    ``expected_accuracy`` and what follows from it come from test data, which the choice has not seen. See
    docs/explanation/recommendations.md for the criteria.
    """
    rows = []
    for tier in ADVISED:
        for target in evidence.results.targets:
            own_tier = tier in (ADVISED[0], PRIMARY) or any(o.tier == tier for o in evidence.options[target])
            choice = choose(evidence.options, target, tier) if own_tier else None
            if choice is not None:
                rows.append(_row(choice, target, tier, evidence))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(choice: TargetChoice, target: str, tier: str, evidence: Evidence) -> dict[str, Any]:
    chosen, other = choice.chosen, _alternative(choice)
    judged = _on_test(evidence, target, chosen)
    bar = FINE_TUNE_BELOW * _own_models_elsewhere(evidence, target)
    upper = _upper_on_validation(evidence, target, chosen)
    hopeless = tier in LABELLED and upper < bar
    difference = _difference(evidence, target, chosen, other) if other else None
    trained = float(evidence.results.baseline(SELF).loc[target, "accuracy"])
    return {
        "target": target,
        "language": evidence.results.languages[target]["language"],
        "tier": tier,
        "primary": tier == PRIMARY,
        "advice": "fine-tune needed" if hopeless else chosen.kind,
        "what": chosen.what,
        "expected_accuracy": judged.value,
        "low": judged.low,
        "high": judged.high,
        "confidence": _confidence_in_need(evidence, target, chosen, bar) if hopeless else _confidence(difference),
        "alternative": other.what if other else "",
        **_difference_columns(difference),
        "validation_accuracy": chosen.validation,
        **_named("best_source", choice.single, target, evidence),
        **_named("best_merge", choice.merge, target, evidence),
        "self_accuracy": trained,
        "gap_to_self": trained - judged.value,
        **_few_shot(evidence, target, tier),
        "seeds": len(evidence.seeds),
        "n": judged.n,
        "clusters": judged.clusters,
        "reason": _reason(choice, tier, upper, bar, hopeless),
    }


def _alternative(choice: TargetChoice) -> Option | None:
    return choice.merge if choice.chosen == choice.single else choice.single


def _on_test(evidence: Evidence, target: str, option: Option) -> Accuracy:
    return clustered_accuracy(evidence.correct(target, option.key), evidence.items[target].clusters)


def _named(name: str, option: Option | None, target: str, evidence: Evidence) -> dict[str, Any]:
    if option is None:
        return {name: "", f"{name}_val": float("nan"), f"{name}_accuracy": float("nan")}
    accuracy = float(evidence.correct(target, option.key).mean())
    return {name: option.what, f"{name}_val": option.validation, f"{name}_accuracy": accuracy}


def _few_shot(evidence: Evidence, target: str, tier: str) -> dict[str, float]:
    """Return what training on the validation labels reaches on test data, if they are known and it was tried."""
    row = evidence.results.baseline(FEW_SHOT).loc[target]
    labelled = tier in LABELLED
    return {f"few_shot_{name}": float(row[name]) if labelled else float("nan") for name in ("accuracy", "low", "high")}


def _own_models_elsewhere(evidence: Evidence, target: str) -> float:
    """Return the median validation accuracy of the other locales' own models: what training data buy."""
    matrix = evidence.results.matrix_validation
    return float(np.median([matrix.loc[s, s] for s in matrix.index if s != target]))


def _upper_on_validation(evidence: Evidence, target: str, option: Option) -> float:
    """Return the upper end of the 95 % interval of an option's validation accuracy."""
    return evidence.validation[target].accuracy(evidence.models(target, option)).high


def _difference(evidence: Evidence, target: str, chosen: Option, other: Option) -> Difference:
    paired = paired_differences(evidence.items[target], [(chosen.key, other.key)])
    low, high, _ = cluster_interval(paired.sums[:, 0], paired.sizes)
    return Difference(float(paired.means[0]), low, high, paired.seeds[0])


def _difference_columns(difference: Difference | None) -> dict[str, float]:
    names = ("difference", "difference_low", "difference_high")
    if difference is None:
        return dict.fromkeys(names, float("nan"))
    return dict(zip(names, (difference.value, difference.low, difference.high), strict=True))


def confidence(agrees: bool, sure: bool, seeds: int) -> str:
    """Return how far test data confirm an advice that was given without them.

    Parameters
    ----------
    agrees : bool
        They point the same way.
    sure : bool
        So does the whole 95 % interval, and every seed.
    seeds : int
        Below `SEEDS` training noise is not known, and nothing is ``high``.
    """
    if not agrees:
        return "low"
    return "high" if sure and seeds >= SEEDS else "medium"


def _confidence(difference: Difference | None) -> str:
    if difference is None:
        return "low"  # there was nothing to choose between
    sure = difference.low > 0 and bool((difference.seeds > 0).all())
    return confidence(difference.value > 0, sure, len(difference.seeds))


def _confidence_in_need(evidence: Evidence, target: str, chosen: Option, bar: float) -> str:
    per_seed = evidence.items[target].per_seed(*chosen.key).mean(1)
    judged = _on_test(evidence, target, chosen)
    return confidence(judged.value < bar, judged.high < bar and bool((per_seed < bar).all()), len(per_seed))


def _reason(choice: TargetChoice, tier: str, upper: float, bar: float, hopeless: bool) -> str:
    """Return the choice in one sentence, with the numbers that made it."""
    chosen, other = choice.chosen, _alternative(choice)
    if hopeless:
        return (
            f"Even the best option, {_title(chosen)}, reaches only {_percent(chosen.validation)} on validation data "
            f"(95 % interval up to {_percent(upper)}), below {_percent(bar)}: {100 * FINE_TUNE_BELOW:.0f} % of what "
            "other languages' own models reach."
        )
    if other is None:
        return f"No experiment merges with supervision {tier!r}; {_title(chosen)} is its best single source."
    if tier in LABELLED:
        best, second = (_percent(o.validation) for o in (chosen, other))
        tie = "; a tie goes to the single source" if best == second else ""
        return f"On the target's validation data {_title(chosen)} reaches {best}, {_title(other)} {second}{tie}."
    best, second = (f"{_title(o)} {100 * choice.scores[o.key]:+.1f}" for o in (chosen, other))
    return f"On the other targets' validation data, in points above the mean source: {best}, {second}."


def _title(option: Option) -> str:
    return f"the merge {option.what}" if option.kind == "merge" else f"the source {option.what}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
