"""Claims on merge methods, against the flat merge of the same sources."""

from workflow_scripts.analysis.claims.estimates import mean_over_targets
from workflow_scripts.analysis.claims.evidence import Evidence
from workflow_scripts.analysis.claims.outcome import Outcome
from workflow_scripts.analysis.claims.rules_of_thumb import strong_targets


def dare_destroys(evidence: Evidence) -> Outcome | None:
    """Test that DARE makes merges worse than the flat merge of the same sources."""
    found = evidence.of_experiments(evidence.beside_flat("dare_linear", "dare_ties"))
    return mean_over_targets(found, -1, "DARE − flat merge") if found else None


def ties_preserves_strong_targets(evidence: Evidence) -> Outcome | None:
    """Test that TIES beats the flat merge where the best single model is right in more than 70 % of the cases."""
    found = evidence.of_experiments(evidence.beside_flat("ties"))
    strong = {t: f for t, f in found.items() if t in strong_targets(evidence)}
    return mean_over_targets(strong, 1, "TIES − flat merge where the best source is above 0.7") if strong else None
