"""Baselines that are trained: which data and which start each has, as the plan says.

``few_shot``: the best source fine-tuned on the target's validation data, and ``few_shot_base`` the base: what the
labels that a selection looks at would buy by training on them. ``joint_one`` and ``joint_all``: one model fine-tuned on
the training data of a merge's sources together, with as many steps as one source takes, or as all of them take.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workflow_scripts.selection.systems import FEW_SHOT, FEW_SHOT_BASE, JOINT_ALL, JOINT_ONE, name_beside

Accuracies = Mapping[int, Mapping[str, Mapping[str, float]]]  # seed → model → evaluation locale → accuracy
Training = dict[str, Any]


def few_shot_entries(
    targets: Sequence[str], seeds: Sequence[int], locales: Sequence[str], validation: Accuracies
) -> Iterator[dict[str, Any]]:
    """Yield the plan's entries: per target and seed the source that is best on the target's validation data."""
    for target in targets:
        others = [name for name in locales if name != target]
        for seed in seeds:
            best = min(others, key=lambda s: (-validation[seed][s][target], s))
            yield {
                "experiment": FEW_SHOT,
                "baseline": True,
                "trained": True,
                "target": target,
                "seed": seed,
                "sources": [{"locale": best, "weight": 1.0, "similarity": validation[seed][best][target]}],
                "tier": "labelled validation",
            }


def trainings_of(entry: Mapping[str, Any]) -> dict[str, Training]:
    """Return the trainings that a plan entry asks for, by name.

    A training has ``start`` ([locale, seed] of a model, or None for θ₀), ``locales`` and ``split`` of its data, and
    ``length``: ``"few_shot"``, ``"one"`` (source's) or ``"all"``.
    """
    if entry.get("trained"):
        data: Training = {"locales": [entry["target"]], "split": "validation", "length": "few_shot"}
        best = [entry["sources"][0]["locale"], entry["seed"]]
        return {FEW_SHOT: {**data, "start": best}, FEW_SHOT_BASE: {**data, "start": None}}
    if entry.get("joint"):
        data = {"locales": sorted(s["locale"] for s in entry["sources"]), "split": "train", "start": None}
        lengths = {JOINT_ONE: "one", JOINT_ALL: "all"}
        return {name_beside(name, entry["experiment"]): {**data, "length": length} for name, length in lengths.items()}
    return {}
