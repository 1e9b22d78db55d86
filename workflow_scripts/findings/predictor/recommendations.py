"""What to do for each target: chosen on validation data, judged on test data.

Training on the validation labels uses them up: nothing is left to compare it by on the target itself. It is advised for
a target where it was ahead for the *other* targets, on their test data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.intervals import Accuracy, clustered_accuracy
from workflow_scripts.findings.predictor.evidence import Evidence
from workflow_scripts.findings.predictor.options import LABELLED, Option, TargetChoice, choose
from workflow_scripts.selection.systems import FEW_SHOT, FEW_SHOT_BASE, FEW_SHOT_MERGE, SELF, title
from workflow_scripts.statistics.differences import paired_differences
from workflow_scripts.statistics.one_target import cluster_interval
from workflow_scripts.statistics.verdicts import SEEDS

ADVISED = ("none", "unlabelled", "labelled validation")  # who has training labels trains
PRIMARY = "labelled validation"
TRAININGS = (FEW_SHOT, FEW_SHOT_BASE, FEW_SHOT_MERGE)  # on the validation labels; of equals the first is advised
FINE_TUNE_BELOW = 0.75  # share of what other languages' own models reach
CONFIDENCES = ("low", "medium", "high")
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


@dataclass(frozen=True)
class Training:
    """A training on the validation labels, and how far it was ahead of what was chosen for the other targets."""

    option: Option
    gain: float


def recommendations(evidence: Evidence) -> pd.DataFrame:
    """Return one row per target and supervision tier, columns `COLUMNS`; ``primary`` marks the row to show first.

    ``advice``, ``what``, ``alternative`` and everything that they are chosen by come from validation data alone, and,
    whether to train on these, from the other targets' test data. ``expected_accuracy`` and what follows from it come
    from the target's test data, which the choice has not seen. Criteria: docs/explanation/recommendations.md.
    """
    rows = []
    for tier in ADVISED:
        choices = {}
        for target in evidence.results.targets:
            own_tier = tier in (ADVISED[0], PRIMARY) or any(o.tier == tier for o in evidence.options[target])
            choice = choose(evidence.options, target, tier) if own_tier else None
            if choice is not None:
                choices[target] = choice
        for target, choice in choices.items():
            training = best_training(evidence, target, choices) if tier == PRIMARY else None
            rows.append(_row(choice, target, tier, evidence, training))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def best_training(evidence: Evidence, target: str, choices: Mapping[str, TargetChoice]) -> Training | None:
    """Return the training that was best for the other targets, against what was chosen for them, on their test data.

    None where the run trained on no labels, or has no other target.
    """
    tried = [name for name in TRAININGS if evidence.results.baseline(name)["accuracy"].notna().all()]
    others = [other for other in choices if other != target]
    if not tried or not others:
        return None
    gains = {
        name: float(
            np.mean(
                [
                    evidence.correct(t, ("", name)).mean() - evidence.correct(t, choices[t].chosen.key).mean()
                    for t in others
                ]
            )
        )
        for name in tried
    }
    best = max(tried, key=gains.__getitem__)
    unknown = float("nan")
    return Training(Option(("", best), "train on the labels", PRIMARY, best, unknown, unknown), gains[best])


def _row(choice: TargetChoice, target: str, tier: str, evidence: Evidence, training: Training | None) -> dict[str, Any]:
    trains = training is not None and training.gain > 0
    chosen, other = (training.option, choice.chosen) if trains and training else (choice.chosen, _alternative(choice))
    judged = _on_test(evidence, target, chosen)
    bar = FINE_TUNE_BELOW * _own_models_elsewhere(evidence, target)
    upper = _upper_on_validation(evidence, target, choice.chosen)
    hopeless = tier in LABELLED and upper < bar and not trains
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
        "confidence": _confidence_in_need(evidence, target, chosen, bar, difference)
        if hopeless
        else _confidence(difference),
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
        "reason": " ".join([_reason(choice, tier, upper, bar, hopeless), *_about_training(training, tier)]),
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
    low, high, *_ = cluster_interval(paired.sums[:, 0], paired.sizes)
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
        return CONFIDENCES[0]
    return CONFIDENCES[2] if sure and seeds >= SEEDS else CONFIDENCES[1]


def _confidence(difference: Difference | None) -> str:
    if difference is None:
        return CONFIDENCES[0]  # there was nothing to choose between
    sure = difference.low > 0 and bool((difference.seeds > 0).all())
    return confidence(difference.value > 0, sure, len(difference.seeds))


def _confidence_in_need(
    evidence: Evidence, target: str, chosen: Option, bar: float, difference: Difference | None
) -> str:
    """Return how far test data confirm "fine-tune; until then this": the less sure of both, if there was a choice."""
    per_seed = evidence.items[target].per_seed(*chosen.key).mean(1)
    judged = _on_test(evidence, target, chosen)
    need = confidence(judged.value < bar, judged.high < bar and bool((per_seed < bar).all()), len(per_seed))
    return need if difference is None else min(need, _confidence(difference), key=CONFIDENCES.index)


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


def _about_training(training: Training | None, tier: str) -> list[str]:
    """Return what is to be said of training on the labels, where there are labels."""
    if tier != PRIMARY:
        return []
    if training is None:
        return ["Training on these labels instead was not tried (`baselines: [few_shot]`)."]
    points = f"{100 * training.gain:+.1f} points against what was chosen for them"
    return [f"Training on such labels ({title(training.option.what)}) was {points}, on the other targets' test data."]


def _title(option: Option) -> str:
    return f"the merge {option.what}" if option.kind == "merge" else f"the source {option.what}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
