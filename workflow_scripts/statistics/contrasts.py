"""What a run compares: one primary contrast per level of supervision, and everything else, exploratory."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflow_scripts.results.run_results import Results, differing
from workflow_scripts.selection.systems import (
    BEST_SINGLE,
    FEW_SHOT,
    MEAN_SINGLE,
    MERGE,
    SEED_SOUP,
    SELF,
    TIERS,
    TOP1,
    compared,
    sized_name,
    system,
)
from workflow_scripts.statistics.differences import Pair

PRIMARY, EXPLORATORY = "primary", "exploratory"
CHOSEN = "chosen on validation"
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

    - none, unlabelled: merge − `top1` of the first experiment in the config that selects at this tier, controls left
      out: no label may choose, and the order of the config was written before any result was seen.
    - labelled validation: the merge of this tier or below that is best on the target's validation data −
      `best_zero_shot_val`.
    - labelled training: the merge with the target's own model (IncTar) that is best on validation data − `self`.
    """
    contrasts: list[Contrast] = []
    missing: list[dict[str, str]] = []
    for tier in TIERS[:2]:
        names = [n for n in results.settings["order"] if n in results.experiments and _selects_at(results, n, tier)]
        if names:
            contrasts.append(against_baseline(results, names[0], TOP1, PRIMARY))
        else:
            reason = f"no experiment with two or more sources selects and merges with supervision {tier!r}"
            missing.append({"tier": tier, "contrast": f"merge − {TOP1}", "reason": reason})
    chosen = results.chosen_with("labelled validation")
    with_target = results.chosen_among([name for name, e in results.experiments.items() if e["include_target"]])
    for tier, choice, baseline, reason in (
        ("labelled validation", chosen, BEST_SINGLE, "every experiment needs labelled training data"),
        ("labelled training", with_target, SELF, "no experiment includes the target (include_target: true)"),
    ):
        if choice:
            contrasts.append(against_chosen(choice, baseline, tier, PRIMARY))
        else:
            contrast = against_chosen({}, baseline, tier, PRIMARY).name
            missing.append({"tier": tier, "contrast": contrast, "reason": reason})
    return contrasts, missing


def exploratory_contrasts(results: Results) -> list[Contrast]:
    """Return every merge against the baselines of its target and sources, what was chosen, and pairs of merges."""
    overall, chosen = (results.chosen_with(f"labelled {data}") for data in ("training", "validation"))
    contrasts = [against_chosen(overall, BEST_SINGLE, "labelled training", EXPLORATORY)]
    if chosen and results.baseline(FEW_SHOT)["accuracy"].notna().all():
        contrasts.append(against_chosen(chosen, FEW_SHOT, "labelled validation", EXPLORATORY))
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
    out the one without it.
    """
    contrasts = []
    for names in itertools.combinations(results.experiments, 2):
        first, second = (results.experiments[name] for name in names)
        keys = differing(first, second)
        question = next((q for q, settings in QUESTIONS.items() if keys and keys <= set(settings)), None)
        common = [t for t in results.targets_of[names[0]] if t in results.targets_of[names[1]]]
        if question is None or not common:
            continue
        merge, other = sorted(names, key=lambda n: _rank(results.experiments[n]), reverse=True)
        pairs: dict[str, Pair] = dict.fromkeys(common, ((merge, MERGE), (other, MERGE)))
        tier = max((results.tiers[n][0] for n in names), key=TIERS.index)
        contrasts.append(Contrast(EXPLORATORY, tier, f"merge − other {question}", merge, MERGE, other, pairs))
    return contrasts


def _rank(settings: Mapping[str, Any]) -> tuple[float, bool]:
    k = settings["num_languages"]
    return float("inf") if k == "all" else float(k), settings["include_target"]


def contenders(results: Results) -> list[str]:
    """Return the experiments whose merges are not worse than the average single model, on validation data.

    A broken merge is never the best, but the mirror image of its differences would be what chance gives to the best.
    """
    single = results.baseline(MEAN_SINGLE)["accuracy_validation"]
    return [
        name
        for name, targets in results.targets_of.items()
        if results.of_experiment(name)["accuracy_validation"].mean() >= single[targets].mean()
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


def against_chosen(chosen: Mapping[str, str], baseline: str, tier: str, family: str) -> Contrast:
    """Return the merge that was chosen for each target against a baseline of the target."""
    pairs: dict[str, Pair] = {t: ((name, MERGE), ("", baseline)) for t, name in chosen.items()}
    merge = "IncTar" if baseline == SELF else "merge"
    return Contrast(family, tier, f"{merge} − {baseline}", CHOSEN, MERGE, baseline, pairs)


def _selects_at(results: Results, experiment: str, tier: str) -> bool:
    settings = results.experiments[experiment]
    measure = results.settings["measures"][settings["similarity_type"]]
    control = settings["selector"] == "random_k" or measure == "random"
    return results.tiers[experiment] == (tier, tier) and settings["num_languages"] != 1 and not control
