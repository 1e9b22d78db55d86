"""Rules that foretell, from accuracies on validation data, whether merging will help a target."""

from workflow_scripts.findings.claims.estimates import rule_of_thumb
from workflow_scripts.findings.claims.evidence import Evidence
from workflow_scripts.findings.claims.outcome import Outcome
from workflow_scripts.findings.older_study import STRONG_SOURCE, ZS_SELF
from workflow_scripts.selection.systems import BEST_SINGLE, SELF

HIGH_RATIO = 0.75  # the claim names 0.7 to 0.8


def low_ratio_constructive(evidence: Evidence) -> Outcome | None:
    """Test that merging helps where the best single model reaches less than 60 % of the target's own."""
    applies = [t for t, ratio in ratios(evidence).items() if ratio < ZS_SELF]
    return rule_of_thumb(evidence.effects, applies, 1, f"ZS/self < {ZS_SELF}")


def high_ratio_destructive(evidence: Evidence) -> Outcome | None:
    """Test that merging harms where the best single model reaches more than 75 % of the target's own."""
    applies = [t for t, ratio in ratios(evidence).items() if ratio > HIGH_RATIO]
    return rule_of_thumb(evidence.effects, applies, -1, f"ZS/self > {HIGH_RATIO}")


def strong_source_destructive(evidence: Evidence) -> Outcome | None:
    """Test that merging harms where the best single model is right in more than 70 % of the cases."""
    return rule_of_thumb(evidence.effects, strong_targets(evidence), -1, f"the best source is above {STRONG_SOURCE}")


def strong_targets(evidence: Evidence) -> list[str]:
    """Return the targets whose best single model has a validation accuracy above 0.7."""
    return [t for t, accuracy in evidence.validation(BEST_SINGLE).items() if accuracy > STRONG_SOURCE]


def ratios(evidence: Evidence) -> dict[str, float]:
    """Return the validation accuracy of the best single model over that of the target's own, per target."""
    best, own = evidence.validation(BEST_SINGLE), evidence.validation(SELF)
    return {t: best[t] / own[t] for t in best if own[t] > 0}
