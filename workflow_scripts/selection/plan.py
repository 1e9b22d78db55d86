"""The plan: for every experiment, target and seed, which sources with which weights."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.core.signatures import plugin_function
from workflow_scripts.selection.question import Choice, Question, proportional
from workflow_scripts.selection.systems import SHRUNK_TOP1, TIERS

Experiments = Mapping[str, Mapping[str, Any]]
Cosines = Mapping[str, Mapping[str, float]]
Similarities = Mapping[tuple[str, int], Mapping[str, Mapping[str, float]]]  # target → source → similarity


def build_plan(
    experiments: Experiments, seeds: list[int], similarities: Similarities, study: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the plan's entries by ``experiment/target/seed``.

    Parameters
    ----------
    experiments : mapping
        Name → ``settings`` (all defaults filled in), ``targets``, ``method_tier`` (what the method itself sees of
        the target), ``grouped_by`` (what it groups sources by, or None) and ``joint`` (targets with joint trainings).
    seeds : list of int
    similarities : mapping
        (similarity type, seed) → target → source → similarity.
    study : mapping
        ``tiers``: similarity type → supervision tier of its measure; ``groups``: what experiments group sources by
        (``family`` …) → locale → group; ``pivot``; ``cosines``: the similarity type that holds the task vectors'
        cosines, if an experiment weighs by compatibility; ``greedy``: (target, seed, IncTar?) → sources, if an
        experiment selects greedily; ``baselines``: the config's.
    """
    plan = {}
    for name, experiment in experiments.items():
        settings = experiment["settings"]
        for target in experiment["targets"]:
            for seed in seeds:
                question = ask(settings, target, seed, similarities[settings["similarity_type"], seed], study)
                entry = choose(settings, question, similarities.get((study["cosines"], seed), {}))
                entry["selection_tier"] = selection_tier(settings, study["tiers"][settings["similarity_type"]])
                entry["tier"] = max(entry["selection_tier"], experiment["method_tier"], key=TIERS.index)
                if experiment["grouped_by"]:
                    group = study["groups"][experiment["grouped_by"]]
                    entry["groups"] = {s["locale"]: group[s["locale"]] for s in entry["sources"]}
                if SHRUNK_TOP1 in study["baselines"]:
                    entry["shrunk_top1"] = True
                if target in experiment["joint"]:
                    entry["joint"] = True
                plan[entry_key(name, target, seed)] = {
                    "experiment": name,
                    "target": target,
                    "seed": seed,
                    **entry,
                }
    return plan


def ask(
    settings: Mapping[str, Any],
    target: str,
    seed: int,
    matrix: Mapping[str, Mapping[str, float]],
    study: Mapping[str, Any],
) -> Question:
    """Return what an experiment's selector is asked for one target and seed.

    Parameters
    ----------
    settings : mapping
        The experiment's settings.
    target, seed : str, int
    matrix : mapping
        Target → source → similarity; the diagonal is not used.
    study : mapping
        See `build_plan`.
    """
    include = settings["include_target"]
    candidates = {source: value for source, value in matrix[target].items() if source != target}
    if include:
        candidates[target] = settings["target_similarity"]
    k = len(candidates) if settings["num_languages"] == "all" else settings["num_languages"]
    greedy = study["greedy"].get((target, seed, include), ())
    return Question(target, candidates, k, [target] if include else [], matrix, seed, study["pivot"], greedy)


def entry_key(experiment: str, target: str, seed: int) -> str:
    """Return the key of a plan entry."""
    return f"{experiment}/{target}/{seed}"


def choose(settings: Mapping[str, Any], question: Question, cosines: Cosines) -> dict[str, Any]:
    """Return the selection of one experiment for one target.

    Parameters
    ----------
    settings : mapping
        The experiment's settings.
    question : Question
        What the selector is asked.
    cosines : mapping
        Source → source → cosine of their task vectors; only compatibility weighting reads it.

    Returns
    -------
    dict
        ``method``, ``parameters``, ``sources`` (list of dicts with ``locale``, ``weight``, ``similarity``),
        ``effective_sources`` (1/Σw²) and ``warnings``.
    """
    selector = plugin_function("selector", settings["selector"])
    chosen = selector(question, **settings["selector_parameters"])
    if settings["compatibility"]:
        chosen = compatible(chosen, cosines)
    warnings = []
    if not any(question.candidates[name] > 0 for name, _ in chosen):
        warnings.append("no chosen source has a positive similarity: uniform weights")
    return {
        "method": settings["method"],
        "parameters": settings["method_parameters"],
        "sources": [{"locale": n, "weight": w, "similarity": float(question.candidates[n])} for n, w in chosen],
        "effective_sources": 1 / sum(w * w for _, w in chosen),
        "warnings": warnings,
    }


def compatible(chosen: Choice, cosines: Cosines) -> Choice:
    """Return the sources with weights times their mean task-vector cosine to the other sources, summing to 1."""
    names = [name for name, _ in chosen]
    means = {n: fmean(cosines[n][o] for o in names if o != n) if len(names) > 1 else 1.0 for n in names}
    return proportional({name: weight * means[name] for name, weight in chosen})


def selection_tier(settings: Mapping[str, Any], similarity_tier: str) -> str:
    """Return the highest supervision tier of a selection's parts.

    A selector that does not look at similarities does not inherit their tier; compatibility weighs sources among each
    other and needs nothing of the target.
    """
    module = registry.load("selector", settings["selector"])
    needed = [module.SUPERVISION]
    if getattr(module, "USES_SIMILARITY", True):
        needed.append(similarity_tier)
    if settings["include_target"]:
        needed.append("labelled training")
    return max(needed, key=TIERS.index)
