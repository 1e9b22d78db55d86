"""The plan: for every experiment, target and seed, which sources with which weights."""

from collections.abc import Mapping
from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.core.signatures import plugin_function

TIERS = ("none", "unlabelled", "labelled validation", "labelled training")
Experiments = Mapping[str, Mapping[str, Any]]
Similarities = Mapping[tuple[str, int], Mapping[str, Mapping[str, float]]]  # target → source → similarity


def build_plan(
    experiments: Experiments,
    seeds: list[int],
    similarities: Similarities,
    tiers: Mapping[str, str],
    groups: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, Any]]:
    """Return the plan's entries by ``experiment/target/seed``.

    Parameters
    ----------
    experiments : mapping
        Name → ``settings`` (all defaults filled in), ``targets``, ``method_tier`` (what the method itself sees of
        the target) and ``grouped_by`` (what it groups sources by, or None).
    seeds : list of int
    similarities : mapping
        (similarity type, seed) → target → source → similarity.
    tiers : mapping
        Similarity type → supervision tier of its measure.
    groups : mapping
        What experiments group sources by (``family`` …) → locale → group.
    """
    plan = {}
    for name, experiment in experiments.items():
        settings = experiment["settings"]
        for target in experiment["targets"]:
            for seed in seeds:
                matrix = similarities[settings["similarity_type"], seed]
                entry = choose(settings, target, matrix[target])
                entry["selection_tier"] = selection_tier(settings, tiers[settings["similarity_type"]])
                entry["tier"] = max(entry["selection_tier"], experiment["method_tier"], key=TIERS.index)
                if experiment["grouped_by"]:
                    group = groups[experiment["grouped_by"]]
                    entry["groups"] = {s["locale"]: group[s["locale"]] for s in entry["sources"]}
                plan[entry_key(name, target, seed)] = {
                    "experiment": name,
                    "target": target,
                    "seed": seed,
                    **entry,
                }
    return plan


def entry_key(experiment: str, target: str, seed: int) -> str:
    """Return the key of a plan entry."""
    return f"{experiment}/{target}/{seed}"


def choose(settings: Mapping[str, Any], target: str, row: Mapping[str, float]) -> dict[str, Any]:
    """Return the selection of one experiment for one target.

    Parameters
    ----------
    settings : mapping
        The experiment's settings.
    target : str
    row : mapping
        Source → similarity to the target; its entry for the target itself is not used.

    Returns
    -------
    dict
        ``method``, ``parameters``, ``sources`` (list of dicts with ``locale``, ``weight``, ``similarity``),
        ``effective_sources`` (1/Σw²) and ``warnings``.
    """
    include = settings["include_target"]
    candidates = {source: value for source, value in row.items() if source != target}
    if include:
        candidates[target] = settings["target_similarity"]
    k = len(candidates) if settings["num_languages"] == "all" else settings["num_languages"]
    selector = plugin_function("selector", settings["selector"])
    chosen = selector(candidates, k, [target] if include else [], **settings["selector_parameters"])
    warnings = []
    if not any(candidates[name] > 0 for name, _ in chosen):
        warnings.append("no chosen source has a positive similarity: uniform weights")
    return {
        "method": settings["method"],
        "parameters": settings["method_parameters"],
        "sources": [{"locale": n, "weight": w, "similarity": float(candidates[n])} for n, w in chosen],
        "effective_sources": 1 / sum(w * w for _, w in chosen),
        "warnings": warnings,
    }


def selection_tier(settings: Mapping[str, Any], similarity_tier: str) -> str:
    """Return the highest supervision tier of a selection's parts."""
    found = [similarity_tier, registry.load("selector", settings["selector"]).SUPERVISION]
    if settings["include_target"]:
        found.append("labelled training")
    return max(found, key=TIERS.index)
