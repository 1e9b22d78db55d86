"""The one checkpoint: sources and weights of all merges."""

from typing import Any

from workflow_scripts.core.atomic import read_json, write_json
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.selection.baselines import baseline_entries
from workflow_scripts.selection.plan import build_plan, entry_key
from workflow_scripts.selection.systems import FEW_SHOT
from workflow_scripts.selection.trainings import few_shot_entries


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the plan."""
    names, targets, seeds, locales, grid = (
        settings[k] for k in ("baseline_names", "targets", "seeds", "locales", "scaling_grid")
    )
    similarities = by_wildcards(inputs["similarities"], sorted(settings["tiers"]), seeds)
    matrices = {key: read_matrix(path).to_dict("index") for key, path in similarities.items()}
    study = {k: settings[k] for k in ("tiers", "groups", "pivot", "cosines", "baselines")}
    study["greedy"] = _greedy(inputs, settings)
    plan = build_plan(settings["experiments"], seeds, matrices, study)
    judged = by_wildcards(inputs["validation"], seeds) if inputs["validation"] else {}  # where a baseline asks for it
    validation = {seed: read_matrix(path).to_dict("index") for seed, path in judged.items()}
    entries = list(baseline_entries(names, targets, seeds, locales, validation, grid))
    if FEW_SHOT in settings["baselines"]:
        entries += few_shot_entries(plan, targets, seeds, locales, validation, settings["few_shot_sizes"])
    for entry in entries:
        plan[entry_key(entry["experiment"], entry["target"], entry["seed"])] = entry
    write_json(outputs["plan"], plan)


def _greedy(inputs: dict[str, Any], settings: dict[str, Any]) -> dict[tuple[str, int, bool], list[str]]:
    """Return (target, seed, IncTar?) → the sources that the greedy search took."""
    keys = [(target, seed, include) for target, seed, include in settings["greedy"]]
    searches = map(read_json, inputs["greedy"])
    return {key: search["sources"] for key, search in zip(keys, searches, strict=True)}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
