"""What tuned systems pick for every target and seed, as entries of the plan."""

from typing import Any

from workflow_scripts.core.atomic import read_json, write_json
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.packs import read_pack
from workflow_scripts.results.tuned_systems import tuned_entries


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Read the validation scores of all members that could be made, and write the entries."""
    plan, tuned = read_json(inputs["plan"]), settings["tuned"]
    packs, failures = (
        by_wildcards(inputs[name], settings["targets"], settings["seeds"]) for name in ("validation", "failures")
    )
    scores: dict[tuple[str, int], dict[str, float]] = {}
    for place, path in packs.items():
        failed = read_json(failures[place])["failed"]
        wanted = {m for system in tuned.values() if place[0] in system["targets"] for m in system["members"]}
        scores[place] = {name: read_pack(path, name).accuracy for name in sorted(wanted - set(failed))}
    write_json(outputs["tuned"], tuned_entries(plan, tuned, scores, settings["seeds"]))


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
