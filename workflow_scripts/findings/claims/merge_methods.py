"""Claims on merge methods, against the flat merge of the same sources."""

from collections.abc import Sequence
from dataclasses import replace

from workflow_scripts.findings.claims.outcomes import Outcome, mean_over_targets, values
from workflow_scripts.findings.claims.paired_run import PairedRun
from workflow_scripts.findings.claims.rules_of_thumb import strong_targets
from workflow_scripts.findings.older_studies import STRONG_SOURCE
from workflow_scripts.selection.systems import BEST_SOURCE, MERGE
from workflow_scripts.statistics.contrasts import FLAT


def dare_destroys(run: PairedRun) -> Outcome | None:
    """Test that DARE makes merges worse than the flat merge of the same sources; the mean of each drop rate is told."""
    pairs = run.beside_flat("dare_linear", "dare_ties")
    if not (differences := run.of_experiments(pairs)):
        return None
    outcome = mean_over_targets(differences, -1, "DARE − flat merge", run.margin)
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
    what = "TIES − flat merge where the best source is above 0.7"
    return mean_over_targets(strong, 1, what, run.margin) if strong else None


def averaging_dilutes_strong_sources(run: PairedRun) -> Outcome | None:
    """Test that a flat merge is worse than its best source where that one is right in more than 70 % of the cases.

    Both on validation data: which source is best, and whether it is strong. The target's own model is no source.
    """
    results = run.results
    flat = [n for n, e in results.experiments.items() if e["method"] in FLAT and not e["include_target"]]
    strong: dict[str, set[str]] = {}
    for entry in results.plan.values():
        levels = [results.matrix_validation.loc[s["locale"], entry["target"]] for s in entry["sources"]]
        if entry["experiment"] in flat and len(levels) > 1 and max(levels) > STRONG_SOURCE:
            strong.setdefault(entry["target"], set()).add(entry["experiment"])
    pairs = {
        t: [((n, MERGE), (n, BEST_SOURCE)) for n in flat if n in strong[t]] for t in results.targets if t in strong
    }
    if not pairs:
        return None
    what = f"flat merge − its best source where that is above {STRONG_SOURCE}"
    return mean_over_targets(run.differences(pairs), -1, what, run.margin)
