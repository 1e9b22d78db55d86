"""Claims on merge methods, against the flat merge of the same sources."""

from collections.abc import Sequence
from dataclasses import replace

from workflow_scripts.findings.claims.outcomes import Outcome, mean_over_targets, values
from workflow_scripts.findings.claims.paired_run import PairedRun
from workflow_scripts.findings.claims.rules_of_thumb import strong_targets


def dare_destroys(run: PairedRun) -> Outcome | None:
    """Test that DARE makes merges worse than the flat merge of the same sources; the mean of each drop rate is told."""
    pairs = run.beside_flat("dare_linear", "dare_ties")
    if not (differences := run.of_experiments(pairs)):
        return None
    outcome = mean_over_targets(differences, -1, "DARE − flat merge")
    return replace(outcome, detail=f"{outcome.detail}; by drop rate {_by_drop_rate(run, pairs)}")


def _by_drop_rate(run: PairedRun, pairs: Sequence[tuple[str, str]]) -> str:
    """Return the mean difference in points per drop rate, from the lowest rate to the highest."""
    rates: dict[float, list[tuple[str, str]]] = {}
    for dare, flat in pairs:
        rate = run.results.experiments[dare]["method_parameters"]["drop_rate"]
        rates.setdefault(rate, []).append((dare, flat))
    means = {rate: values(run.of_experiments(rates[rate]))[0].mean() for rate in sorted(rates)}
    return ", ".join(f"{rate:g}: {100 * mean:+.1f}" for rate, mean in means.items())


def ties_preserves_strong_targets(run: PairedRun) -> Outcome | None:
    """Test that TIES beats the flat merge where the best single model is right in more than 70 % of the cases."""
    differences = run.of_experiments(run.beside_flat("ties"))
    strong = {t: f for t, f in differences.items() if t in strong_targets(run)}
    return mean_over_targets(strong, 1, "TIES − flat merge where the best source is above 0.7") if strong else None
