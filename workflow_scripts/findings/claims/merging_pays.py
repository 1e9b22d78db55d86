"""Claims on when merging pays: on average, for which languages, against the target's own model."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.stats import t as student
from scipy.stats import tukey_hsd

from workflow_scripts.core.digests import digest_of
from workflow_scripts.findings.claims.outcomes import (
    CONTRADICTED,
    SUPPORTED,
    Outcome,
    correlation,
    effect_in_points,
    mean_over_targets,
    values,
)
from workflow_scripts.findings.claims.paired_run import PairedRun
from workflow_scripts.selection.systems import MERGE, SELF
from workflow_scripts.statistics.one_target import compare_on_target
from workflow_scripts.statistics.verdicts import HOLM, LEVEL, adjusted


def helps_on_average(run: PairedRun) -> Outcome | None:
    """Test that merging improves on the best single model, both chosen on validation data."""
    if not run.effects:
        return None
    return mean_over_targets(run.effects, 1, "merge − best single model, both chosen on validation data", run.margin)


def helps_low_resource_more(run: PairedRun) -> Outcome | None:
    """Test that the less pretraining text a language has, the more merging improves it."""
    described = {t: f for t, f in run.effects.items() if run.language(t)["resource_level"] != "unknown"}
    text = np.array([run.language(t)["cc100_gib"] for t in described])
    return correlation(text, described, -1, "pretraining text against the merging effect") if described else None


def families_alike(run: PairedRun) -> Outcome | None:
    """Test that genera (Germanic, Romance, …) differ by less than the margin in what merging is worth.

    Contradicted by Tukey's test of all pairs; supported if all pairs are equivalent within it (two one-sided
    tests, the pooled variance). The effect is the largest difference between two genera of two or more
    targets each.
    """
    groups: dict[str, list[float]] = {}
    for target, mean in zip(run.effects, values(run.effects)[0], strict=True):
        groups.setdefault(run.language(target)["genus"], []).append(mean)
    groups = {name: means for name, means in groups.items() if len(means) > 1 and name != "unknown"}
    n = sum(map(len, groups.values()))
    if len(groups) < 2:
        return None
    names, means = list(groups), [float(np.mean(group)) for group in groups.values()]
    tukey = tukey_hsd(*groups.values())
    interval = tukey.confidence_interval()
    first, second = max(itertools.permutations(range(len(names)), 2), key=lambda pair: means[pair[0]] - means[pair[1]])
    effect, low, high = (float(part[first, second]) for part in (tukey.statistic, interval.low, interval.high))
    differ, alike = float(np.nanmin(tukey.pvalue)), _equivalence(list(groups.values()), run.margin)
    says = CONTRADICTED if differ <= LEVEL or differ < alike else SUPPORTED
    detail = f"{names[first]} − {names[second]}, the two that differ most: {effect_in_points(effect, low, high)}"
    p = differ if says == CONTRADICTED else alike
    return Outcome(effect, low, high, p, n, "targets", says, True, f"{detail}, {len(names)} genera of {n} targets")


def _equivalence(groups: list[list[float]], margin: float) -> float:
    """Return the largest p of the tests that two groups' means differ by `margin` or more."""
    freedom = sum(len(g) - 1 for g in groups)
    variance = sum(float(np.var(g) * len(g)) for g in groups) / freedom
    p = []
    for one, other in itertools.combinations(groups, 2):
        gap = margin - abs(float(np.mean(one) - np.mean(other)))
        error = np.sqrt(variance * (1 / len(one) + 1 / len(other)))
        p.append(float(student.sf(gap / error, freedom)) if error > 0 else float(gap <= 0))
    return max(p)


def target_included_never_wins(run: PairedRun) -> Outcome | None:
    """Test that no merge that includes the target's own model is better than that model.

    Supported if IncTar merges are worse on average and none is significantly better (Holm over all merges and targets).
    """
    names = [name for name, e in run.results.experiments.items() if e["include_target"]]
    pairs = {
        t: [((name, MERGE), ("", SELF)) for name in names if t in run.results.targets_of[name]]
        for t in run.results.targets
    }
    pairs = {t: of_target for t, of_target in pairs.items() if of_target}
    if not pairs:
        return None
    outcome = mean_over_targets(
        run.differences(pairs), -1, "merges with the target − the target's own model", run.margin
    )
    single = [(e.effect, e.p, t) for t, wanted in pairs.items() for e in compare_on_target(run.each(t, wanted))]
    corrected = adjusted([p for _, p, _ in single], HOLM)
    winners = [(p, t) for p, (effect, _, t) in zip(corrected, single, strict=True) if p <= LEVEL and effect > 0]
    if not winners:
        return replace(outcome, detail=f"{outcome.detail}; no single merge is significantly better")
    targets = ", ".join(sorted({t for _, t in winners}))
    detail = f"{outcome.detail}; significantly better for {targets}"
    return replace(outcome, speaks=CONTRADICTED, p=float(min(winners)[0]), decisive=True, detail=detail)


def more_weight_to_the_target_is_better(run: PairedRun) -> Outcome | None:
    """Test that a merge with the target's own model is better the more that model weighs: inclusion is not weight.

    Compared are merges that differ in ``target_similarity`` alone, the heaviest with the lightest; the mean difference
    to the target's own model is told for each.
    """
    experiments = run.results.experiments
    inside = {n: e["target_similarity"] for n, e in experiments.items() if e["include_target"]}
    groups: dict[str, list[str]] = {}
    for name in inside:
        groups.setdefault(digest_of({**experiments[name], "target_similarity": None}), []).append(name)
    swept = [sorted(names, key=inside.__getitem__) for names in groups.values() if len(names) > 1]
    if not (differences := run.of_experiments([(names[-1], names[0]) for names in swept])):
        return None
    what = "the target's model with its largest weight − with its smallest"
    outcome = mean_over_targets(differences, 1, what, run.margin)
    return replace(outcome, detail=f"{outcome.detail}; against the target's own model {_by_weight(run, swept, inside)}")


def _by_weight(run: PairedRun, swept: list[list[str]], inside: Mapping[str, float]) -> str:
    """Return the mean difference to the target's own model in points, per similarity given to it."""
    of_weight: dict[float, list[str]] = {}
    for name in itertools.chain(*swept):
        of_weight.setdefault(inside[name], []).append(name)
    told = []
    for weight, names in sorted(of_weight.items()):
        targets = [t for t in run.results.targets if any(t in run.results.targets_of[n] for n in names)]
        pairs = {t: [((n, MERGE), ("", SELF)) for n in names if t in run.results.targets_of[n]] for t in targets}
        told.append(f"{weight:g}: {100 * values(run.differences(pairs))[0].mean():+.1f}")
    return ", ".join(told)
