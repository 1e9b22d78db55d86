"""Rules that foretell, from accuracies on validation data, whether merging will help a target."""

import numpy as np

from workflow_scripts.findings.claims.outcomes import Outcome, correlation, rule_of_thumb
from workflow_scripts.findings.claims.paired_run import PairedRun
from workflow_scripts.findings.older_studies import STRONG_SOURCE, ZS_SELF
from workflow_scripts.selection.systems import BEST_SINGLE, SELF

HIGH_RATIO = 0.75  # the claim names 0.7 to 0.8


def lower_ratio_gains_more(run: PairedRun) -> Outcome | None:
    """Test that the lower ZS/self is, on validation data, the more merging improves on the best single model.

    A rank correlation: no cut-off has to be right.
    """
    of = ratios(run)
    effects = {t: effect for t, effect in run.effects.items() if t in of}
    x = np.array([of[t] for t in effects])
    return correlation(x, effects, -1, "ZS/self against the merging effect") if effects else None


def low_ratio_constructive(run: PairedRun) -> Outcome | None:
    """Test that merging helps where the best single model reaches less than 60 % of the target's own."""
    applies = [t for t, ratio in ratios(run).items() if ratio < ZS_SELF]
    return rule_of_thumb(run.effects, applies, 1, f"ZS/self < {ZS_SELF}", run.margin)


def high_ratio_destructive(run: PairedRun) -> Outcome | None:
    """Test that merging harms where the best single model reaches more than 75 % of the target's own."""
    applies = [t for t, ratio in ratios(run).items() if ratio > HIGH_RATIO]
    return rule_of_thumb(run.effects, applies, -1, f"ZS/self > {HIGH_RATIO}", run.margin)


def strong_source_destructive(run: PairedRun) -> Outcome | None:
    """Test that merging harms where the best single model is right in more than 70 % of the cases."""
    return rule_of_thumb(run.effects, strong_targets(run), -1, f"the best source is above {STRONG_SOURCE}", run.margin)


def strong_targets(run: PairedRun) -> list[str]:
    """Return the targets whose best single model has a validation accuracy above 0.7."""
    return [t for t, accuracy in run.validation(BEST_SINGLE).items() if accuracy > STRONG_SOURCE]


def ratios(run: PairedRun) -> dict[str, float]:
    """Return the validation accuracy of the best single model over that of the target's own, per target."""
    best, trained = run.validation(BEST_SINGLE), run.validation(SELF)
    return {t: best[t] / trained[t] for t in best if trained[t] > 0}
