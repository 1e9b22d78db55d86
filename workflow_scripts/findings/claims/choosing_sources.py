"""Claims on which sources to merge, and how many."""

from dataclasses import replace

import numpy as np

from workflow_scripts.findings.claims.outcomes import Outcome, correlation, mean_over_targets
from workflow_scripts.findings.claims.paired_run import PairedRun
from workflow_scripts.selection.question import ranked
from workflow_scripts.selection.systems import BEST_SOURCE, MERGE
from workflow_scripts.statistics.differences import Differences

HALF = 0.5  # of what perfect choice could gain over chance


def real_beats_uriel(run: PairedRun) -> Outcome | None:
    """Test that sources chosen by REAL make better merges than sources chosen by URIEL."""
    pairs = run.differing("similarity_type", "REAL", "URIEL")
    return _paired(run, pairs, 1, "sources by REAL − sources by URIEL")


def five_beat_three(run: PairedRun) -> Outcome | None:
    """Test that merges of five sources are better than merges of three."""
    return _paired(run, run.differing("num_languages", 5, 3), 1, "five sources − three sources")


def within_families_first(run: PairedRun) -> Outcome | None:
    """Test that merging within families, then across them, is better than merging all sources at once."""
    return _paired(run, run.beside_flat("hierarchical"), 1, "families first − all sources at once")


def no_dominant_source(run: PairedRun) -> Outcome | None:
    """Test that the less the sources' accuracies differ, the more a merge improves on the best of them.

    Spread: standard deviation of the sources' validation accuracies on the target. Both are means over the experiments
    with two or more sources, without the target's own model.
    """
    results = run.results
    names = [n for n, e in results.experiments.items() if not e["include_target"] and e["num_languages"] != 1]
    spreads: dict[str, list[float]] = {}
    for entry in results.plan.values():
        if entry["experiment"] in names and len(entry["sources"]) > 1:
            accuracies = [results.matrix_validation.loc[s["locale"], entry["target"]] for s in entry["sources"]]
            spreads.setdefault(entry["target"], []).append(float(np.std(accuracies)))
    differences = run.differences(
        {
            t: [((n, MERGE), (n, BEST_SOURCE)) for n in names if t in results.targets_of[n]]
            for t in results.targets
            if t in spreads
        }
    )
    spread = np.array([np.mean(spreads[t]) for t in differences])
    what = "spread of the sources' accuracies against merge − best source"
    return correlation(spread, differences, -1, what) if differences else None


def uriel_ranks_poorly(run: PairedRun) -> Outcome | None:
    """Test that sources chosen by URIEL gain less than half of what the best choice gains over chance.

    Gain: (chance rank − mean rank) / (chance rank − best possible mean rank), ranks by zero-shot accuracy on the
    target: 1 is a perfect choice, 0 chance.
    """
    results = run.results
    names = {
        n
        for n, e in results.experiments.items()
        if e["similarity_type"] == "URIEL" and e["selector"] == "top_k" and not e["include_target"]
    }
    gains: dict[str, dict[int, list[float]]] = {}
    for entry in results.plan.values():
        target, chosen = entry["target"], [s["locale"] for s in entry["sources"]]
        order = ranked(results.matrix[target].drop(target).to_dict())
        if entry["experiment"] in names and len(chosen) < len(order):
            chance, best = (len(order) + 1) / 2, (len(chosen) + 1) / 2
            mean = float(np.mean([order.index(s) + 1 for s in chosen]))
            gains.setdefault(target, {}).setdefault(entry["seed"], []).append((chance - mean) / (chance - best))
    if not gains:
        return None
    numbers = {t: np.array([np.mean(g) for g in by_seed.values()]) for t, by_seed in gains.items()}
    outcome = mean_over_targets({t: Differences.of_numbers(t, v[None] - HALF) for t, v in numbers.items()}, -1, "")
    effect, low, high = (value + HALF for value in (outcome.effect, outcome.low, outcome.high))
    detail = (
        f"sources chosen by URIEL gain {100 * effect:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of what the best "
        f"choice gains over chance, over {len(numbers)} targets"
    )
    return replace(outcome, effect=effect, low=low, high=high, detail=detail, p_equivalent=float("nan"))


def _paired(run: PairedRun, pairs: list[tuple[str, str]], sense: int, what: str) -> Outcome | None:
    differences: dict[str, Differences] = run.of_experiments(pairs)
    if not differences:
        return None
    told = f"{what}, {len(pairs)} pair{'s' * (len(pairs) > 1)} of experiments"
    return mean_over_targets(differences, sense, told, run.margin)
