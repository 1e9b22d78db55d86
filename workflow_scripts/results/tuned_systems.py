"""Tuned systems: which of its members counts for each target and seed, by stored validation scores alone.

Picking by the target's own validation data makes the tier labelled validation; picking by those of the other targets
leaves it as it is: nothing of the target is seen.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from workflow_scripts.core.atomic import read_json
from workflow_scripts.results.computations import first_best
from workflow_scripts.selection.plan import entry_key
from workflow_scripts.selection.systems import TIERS, TUNED_ON_TARGET

Scores = Mapping[tuple[str, int], Mapping[str, float]]  # (target, seed) → merge → validation accuracy


def read_entries(inputs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the plan's entries and those of tuned systems, from a job's inputs ``plan`` and ``tuned``."""
    return {key: entry for path in (inputs["plan"], *inputs["tuned"]) for key, entry in read_json(path).items()}


def tuned_entries(
    plan: Mapping[str, Any], tuned: Mapping[str, Mapping[str, Any]], scores: Scores, seeds: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """Return the plan's entries of tuned systems, by key: those of the members that they pick, with ``picked``.

    Parameters
    ----------
    plan : mapping
        The plan's entries.
    tuned : mapping
        Name → ``members`` (of equals the first is picked), ``on`` (``"target"`` or ``"others"``), ``targets``.
    scores : mapping
        Of the merges that could be made. A member counts where it was made with every seed.
    seeds : sequence of int
    """
    entries = {}
    for name, system in tuned.items():
        for target in system["targets"]:
            judges = [target] if system["on"] == "target" else [t for t in system["targets"] if t != target]
            needed = [scores[place, seed] for place in {target, *judges} for seed in seeds]
            made = [member for member in system["members"] if all(member in merges for merges in needed)]
            for seed in seeds if made else ():
                judged = {member: fmean(scores[judge, seed][member] for judge in judges) for member in made}
                picked = first_best(judged, made)
                tiers = [plan[entry_key(member, target, seed)]["tier"] for member in made]
                tiers += [TUNED_ON_TARGET] if system["on"] == "target" else []
                entries[entry_key(name, target, seed)] = {
                    **plan[entry_key(picked, target, seed)],
                    "experiment": name,
                    "tier": max(tiers, key=TIERS.index),
                    "picked": picked,
                }
    return entries
