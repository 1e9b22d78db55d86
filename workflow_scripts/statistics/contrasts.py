"""What a run compares: one primary contrast per level of supervision, and everything else, exploratory."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflow_scripts.results.run_results import Results, differing
from workflow_scripts.selection.systems import (
    BEST_ELSEWHERE,
    BEST_SINGLE,
    ENGLISH,
    FEW_SHOT,
    MEAN_SINGLE,
    MERGE,
    SCALED_TOP1,
    SEED_SOUP,
    SELF,
    SHRUNK_TOP1,
    TIERS,
    TOP1,
    compared,
    is_system,
    sized_name,
    system,
)
from workflow_scripts.statistics.differences import Pair

PRIMARY, EXPLORATORY = "primary", "exploratory"
CHOSEN, CHOSEN_INC = "chosen on validation", "chosen on validation, IncTar"
CHOSEN_ANY = "chosen on validation, any supervision"
WITHOUT_LABELS = (ENGLISH, BEST_ELSEWHERE)  # single models that no label of the target chose, the fairest first
BESIDE = (
    *WITHOUT_LABELS,
    TOP1,
    SHRUNK_TOP1,
    FEW_SHOT,
    BEST_SINGLE,
)  # what else a primary comparison's merge is shown against
TRANSFER = "nxn"  # the measure that is measured transfer
FLAT = ("average", "similarity")  # what a method that does more is compared with
QUESTIONS = {  # what two experiments may differ in → the settings that belong to it
    "method": ("method", "method_parameters"),
    "similarity": ("similarity_type",),
    "selector": ("selector", "selector_parameters"),
    "number of sources": ("num_languages",),
    "target in or out": ("include_target", "target_similarity"),
    "weights": ("compatibility",),
}


@dataclass(frozen=True)
class Contrast:
    """A difference of two systems over a run's targets.

    Attributes
    ----------
    family : {"primary", "exploratory"}
    tier : str
        The supervision that the merge needs.
    name : str
        Such as ``merge − top1``.
    experiment, system, baseline : str
    pairs : dict of str to ((experiment, system), (experiment, system))
        Target → what is subtracted from what.
    each_target : bool
        Is it also judged for each target by itself?
    """

    family: str
    tier: str
    name: str
    experiment: str
    system: str
    baseline: str
    pairs: dict[str, Pair]
    each_target: bool = False


def primary_contrasts(results: Results) -> tuple[list[Contrast], list[dict[str, str]]]:
    """Return the primary family, and which of its contrasts the run cannot form, and why.

    - none, unlabelled: merge − `english`, the pivot's model (the pivot itself has no such opponent and is left out); in
      a run without the pivot the model that is best on the other targets' validation data. The merge is that of the
      first experiment in the config that selects at this tier, controls left out: no label may choose, and the order of
      the config was written before any result was seen.
    - labelled validation: the merge of this tier or below that is best on the target's validation data −
      `scaled_top1`, its equal in tuning; in a run without that, − `best_zero_shot_val`.
    - labelled training: the merge with the target's own model (IncTar) that is best on validation data − `self`.
    """
    contrasts: list[Contrast] = []
    missing: list[dict[str, str]] = []
    for tier in TIERS[:2]:
        names = [n for n in results.settings["order"] if n in results.experiments and _selects_at(results, n, tier)]
        formed = [against_baseline(results, name, b, PRIMARY) for name in names[:1] for b in WITHOUT_LABELS]
        formed = [contrast for contrast in formed if contrast.pairs]
        if formed:
            contrasts.append(formed[0])
            continue
        reason = f"no experiment with two or more sources selects and merges with supervision {tier!r}"
        if names:
            reason = "the pivot has no model in this run, and there are too few other targets to choose a model by"
        missing.append({"tier": tier, "contrast": f"merge − {ENGLISH}", "reason": reason})
    chosen, with_target = _chosen(results)
    for tier, choice, baseline, name, reason in (
        ("labelled validation", chosen, tuned_single(results), CHOSEN, "every experiment needs labelled training data"),
        (
            "labelled training",
            with_target,
            SELF,
            CHOSEN_INC,
            "no experiment includes the target (include_target: true)",
        ),
    ):
        contrast = against_chosen(results, choice, baseline, tier, PRIMARY, name)
        if contrast.pairs:
            contrasts.append(contrast)
        else:
            missing.append({"tier": tier, "contrast": contrast.name, "reason": reason})
    return contrasts, missing


def tuned_single(results: Results) -> str:
    """Return the fair single model of a merge that validation labels chose: `scaled_top1` where the run has it."""
    scaled = results.of_experiment("", SCALED_TOP1)
    return SCALED_TOP1 if set(scaled.index) == set(results.targets) else BEST_SINGLE


def _chosen(results: Results) -> tuple[dict[str, str], dict[str, str]]:
    """Return, per target, the experiments that validation data choose: without its labelled training data, IncTar."""
    include = [name for name, e in results.experiments.items() if e["include_target"]]
    return results.chosen_with("labelled validation"), results.chosen_among(include)


def exploratory_contrasts(results: Results) -> list[Contrast]:
    """Return every merge against the baselines of its target and sources, what was chosen, and pairs of merges."""
    overall, (chosen, with_target) = results.chosen_with("labelled training"), _chosen(results)
    contrasts = [against_chosen(results, overall, BEST_SINGLE, "labelled training", EXPLORATORY, CHOSEN_ANY)]
    for choice, tier, name in ((chosen, "labelled validation", CHOSEN), (with_target, "labelled training", CHOSEN_INC)):
        opponents = [b for b in BESIDE if (name, b) != (CHOSEN, tuned_single(results))]
        beside = [against_chosen(results, choice, b, tier, EXPLORATORY, name) for b in opponents]
        contrasts += [contrast for contrast in beside if contrast.pairs]
    for name, settings in results.experiments.items():
        k, seeds = settings["num_languages"], len(results.settings["seeds"])
        soup = sized_name(SEED_SOUP, seeds if k == "all" else min(k, seeds))
        for baseline in (*(s.name for s in (*compared("experiment"), *compared("target"))), soup):
            contrast = against_baseline(results, name, baseline, EXPLORATORY)
            if contrast.pairs:
                contrasts.append(contrast)
    return contrasts + between_experiments(results)


def between_experiments(results: Results) -> list[Contrast]:
    """Return the merges of every two experiments that differ in one thing only.

    The baseline is the other experiment's merge; of two numbers of sources it is the smaller one's, of the target in or
    out the one without it, of measured transfer and another similarity the other, of a flat merge and another method
    the flat one.
    """
    contrasts = []
    for names in itertools.combinations(results.experiments, 2):
        first, second = (results.experiments[name] for name in names)
        keys = differing(first, second)
        question = next((q for q, settings in QUESTIONS.items() if keys and keys <= set(settings)), None)
        common = [t for t in results.targets_of[names[0]] if t in results.targets_of[names[1]]]
        if question is None or not common:
            continue
        merge, other = sorted(names, key=lambda n: _rank(results, n), reverse=True)
        pairs: dict[str, Pair] = dict.fromkeys(common, ((merge, MERGE), (other, MERGE)))
        tier = max((results.tiers[n][0] for n in names), key=TIERS.index)
        contrasts.append(Contrast(EXPLORATORY, tier, f"merge − other {question}", merge, MERGE, other, pairs))
    return contrasts


def _rank(results: Results, experiment: str) -> tuple[Any, ...]:
    settings = results.experiments[experiment]
    k = settings["num_languages"]
    size = float("inf") if k == "all" else float(k)
    return size, settings["include_target"], results.measure(experiment) == TRANSFER, settings["method"] not in FLAT


def contenders(results: Results) -> list[str]:
    """Return the experiments that compete for the best on test data: those that validation labels could choose.

    None that needs the target's training data, as IncTar does: these are of another level of supervision. And none
    whose merges are worse than the average single model on validation data: a broken merge is never the best, but its
    spread would be in what chance gives to the best.
    """
    allowed = TIERS[: TIERS.index("labelled validation") + 1]
    single = results.baseline(MEAN_SINGLE)["accuracy_validation"]
    return [
        name
        for name, targets in results.targets_of.items()
        if results.tiers[name][0] in allowed
        and results.of_experiment(name)["accuracy_validation"].mean() >= single[targets].mean()
    ]


def against_baseline(results: Results, experiment: str, baseline: str, family: str) -> Contrast:
    """Return an experiment's merge against a baseline, over the targets that have both."""
    row = system(baseline)
    place = experiment if row.scope == "experiment" else ""
    scored = results.of_experiment(place, baseline).index
    pairs: dict[str, Pair] = {
        target: ((experiment, MERGE), (place, baseline))
        for target in results.targets_of[experiment]
        if target in scored
    }
    each = family == EXPLORATORY and row.compared == "on each target"
    tier = results.tiers[experiment][0]
    return Contrast(family, tier, f"merge − {baseline}", experiment, MERGE, baseline, pairs, each)


def against_chosen(
    results: Results, chosen: Mapping[str, str], baseline: str, tier: str, family: str, name: str
) -> Contrast:
    """Return the merge that was chosen for each target against a baseline, over the targets that have it.

    Parameters
    ----------
    results : Results
    chosen : mapping
        Target → experiment.
    baseline : str
        Of the target, or of the chosen merge's sources.
    tier, family, name : str
        The contrast's supervision and family, and what stands for its experiment.
    """
    of_merge = is_system(baseline) and system(baseline).scope == "experiment"
    places = {target: experiment if of_merge else "" for target, experiment in chosen.items()}
    pairs: dict[str, Pair] = {
        target: ((chosen[target], MERGE), (place, baseline))
        for target, place in places.items()
        if target in results.of_experiment(place, baseline).index
    }
    merge = "IncTar" if name == CHOSEN_INC else "merge"
    return Contrast(family, tier, f"{merge} − {baseline}", name, MERGE, baseline, pairs)


def _selects_at(results: Results, experiment: str, tier: str) -> bool:
    settings = results.experiments[experiment]
    control = settings["selector"] == "random_k" or results.measure(experiment) == "random"
    return results.tiers[experiment] == (tier, tier) and settings["num_languages"] != 1 and not control
