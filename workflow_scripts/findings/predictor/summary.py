"""The predictor's findings as one JSON document."""

from typing import Any

from workflow_scripts.core.atomic import for_json
from workflow_scripts.findings.predictor.evidence import Evidence
from workflow_scripts.findings.predictor.recommendations import FINE_TUNE_BELOW
from workflow_scripts.findings.predictor.regret import HALVINGS
from workflow_scripts.findings.predictor.tiers import ENOUGH, predict_tier
from workflow_scripts.selection.systems import TIERS
from workflow_scripts.statistics.verdicts import SEEDS

DEFINITIONS = {
    "effect": "test accuracy of a merge − that of the tier's single source, both means over seeds; the single source "
    "is best_zero_shot_val where validation labels may be seen, else the one that is best on the other targets' "
    "validation data",
    "regret": "test accuracy lost against the best option in hindsight, chosen on one half of the test clusters and "
    f"judged, like every policy, on the other ({HALVINGS} ways of halving, both directions)",
    "p": "share of permutations of whole targets whose leave-one-target-out R² is as large, everything refitted; only "
    f"from {ENOUGH} targets on",
    "interval": "95 %, over targets, conditional on the trained models",
}


def predictor_summary(evidence: Evidence) -> dict[str, Any]:
    """Return tier → what was learnt and what policies lose; see `predict_tier`."""
    tiers = {tier: predict_tier(tier, evidence) for tier in TIERS}
    found = {
        "definitions": DEFINITIONS,
        "criteria": {"targets": ENOUGH, "fine_tune_below": FINE_TUNE_BELOW, "seeds": SEEDS},
        "targets": len(evidence.results.targets),
        "not_halved": sorted(set(evidence.results.targets) - set(evidence.first_halves)),
        "tiers": {tier: part for tier, part in tiers.items() if part is not None},
    }
    return dict(for_json(found))
