"""The plan: for every experiment, target and seed, which sources with which weights."""

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.core.signatures import plugin_function

TIERS = ("none", "unlabelled", "labelled validation", "labelled training")
Experiments = Mapping[str, Mapping[str, Any]]
Similarities = Mapping[tuple[str, int], Mapping[str, Mapping[str, float]]]  # target → source → similarity


def build_plan(
    experiments: Experiments, seeds: list[int], similarities: Similarities, tiers: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return the plan's entries by ``experiment/target/seed``.

    Parameters
    ----------
    experiments : mapping
        Name → ``settings`` (all defaults filled in) and ``targets``.
    seeds : list of int
    similarities : mapping
        (similarity type, seed) → target → source → similarity.
    tiers : mapping
        Similarity type → supervision tier of its measure.
    """
    plan = {}
    for name, experiment in experiments.items():
        settings = experiment["settings"]
        for target in experiment["targets"]:
            for seed in seeds:
                matrix = similarities[settings["similarity_type"], seed]
                entry = choose(settings, target, matrix[target])
                entry["tier"] = experiment_tier(settings, tiers[settings["similarity_type"]])
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


def experiment_tier(settings: Mapping[str, Any], similarity_tier: str) -> str:
    """Return the highest supervision tier of an experiment's parts."""
    found = [similarity_tier, registry.load("selector", settings["selector"]).SUPERVISION]
    if settings["include_target"]:
        found.append("labelled training")
    return max(found, key=TIERS.index)


@cache
def _read_slices(path: str, modified: int) -> dict[str, dict[str, Any]]:
    with open(path, encoding="utf-8") as handle:
        return {key: merge_slice(entry) for key, entry in json.load(handle).items()}


def planned_merges(path: str) -> dict[str, dict[str, Any]]:
    """Return the merge slices of a plan file by `entry_key`; read once per version of the file."""
    return _read_slices(str(path), os.stat(path).st_mtime_ns)


def merge_slice(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a plan entry that determines the merged weights; the rest may change freely.

    Sources are in alphabetical order, and a method that ignores weights gets uniform ones: a change that cannot change
    the result changes nothing here.
    """
    uses_weights = registry.load("merge method", entry["method"]).USES_WEIGHTS
    sources = sorted(entry["sources"], key=lambda s: s["locale"])
    return {
        "method": entry["method"],
        "parameters": entry["parameters"],
        "sources": [s["locale"] for s in sources],
        "weights": [s["weight"] if uses_weights else 1 / len(sources) for s in sources],
    }
