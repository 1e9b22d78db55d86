"""Baselines that are trained: which data and which start each has, as the plan says.

``few_shot``: the best source fine-tuned on the target's validation data, ``few_shot_base`` the base, and
``few_shot_merge`` the merge that is chosen on these data: what the labels that a selection looks at would buy by
training on them. The first two also on fewer sentences. ``joint_one`` and ``joint_all``: one model fine-tuned on the
training data of a merge's sources together, with as many steps as one source takes, or as all of them take.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from workflow_scripts.selection.systems import (
    FEW_SHOT,
    FEW_SHOT_BASE,
    FEW_SHOT_MERGE,
    JOINT_ALL,
    JOINT_ONE,
    MERGE,
    TIERS,
    name_at,
    name_beside,
)

ALL = "all"  # labelled sentences
TRAINS_ON = "labelled validation"  # the tier of the trainings; no merge that needs more is chosen to start from
Accuracies = Mapping[int, Mapping[str, Mapping[str, float]]]  # seed → model → evaluation locale → accuracy
Plan = Mapping[str, Mapping[str, Any]]
Training = dict[str, Any]


def few_shot_entries(
    plan: Plan,
    targets: Sequence[str],
    seeds: Sequence[int],
    locales: Sequence[str],
    validation: Accuracies,
    sizes: Sequence[int | Literal["all"]],
) -> Iterator[dict[str, Any]]:
    """Yield the plan's entries: per target and seed the source that is best on the target's validation data.

    Beside it ``merges``: the experiments whose merges may be chosen to start from, which has yet to be seen; and
    ``sizes``: the numbers of sentences to train on.
    """
    for target in targets:
        others = [name for name in locales if name != target]
        allowed = TIERS[: TIERS.index(TRAINS_ON) + 1]
        merges = sorted({e["experiment"] for e in plan.values() if e["target"] == target and e["tier"] in allowed})
        for seed in seeds:
            best = min(others, key=lambda s: (-validation[seed][s][target], s))
            yield {
                "experiment": FEW_SHOT,
                "baseline": True,
                "trained": True,
                "target": target,
                "seed": seed,
                "sources": [{"locale": best, "weight": 1.0, "similarity": validation[seed][best][target]}],
                "merges": merges,
                "sizes": list(sizes),
                "tier": TRAINS_ON,
            }


def trainings_of(entry: Mapping[str, Any]) -> dict[str, Training]:
    """Return the trainings that a plan entry asks for, by name.

    A training has ``start`` ([locale, seed] of a model, ``"merge"`` for the one of its ``candidates`` that is chosen on
    validation data, or None for θ₀), ``locales`` and ``split`` of its data, ``sentences`` if these are only some of
    them, and ``length``: ``"few_shot"``, ``"one"`` (source's) or ``"all"``.
    """
    if entry.get("trained"):
        return dict(_few_shots(entry))
    if entry.get("joint"):
        data: Training = {"locales": sorted(s["locale"] for s in entry["sources"]), "split": "train", "start": None}
        lengths = {JOINT_ONE: "one", JOINT_ALL: "all"}
        return {name_beside(name, entry["experiment"]): {**data, "length": length} for name, length in lengths.items()}
    return {}


def _few_shots(entry: Mapping[str, Any]) -> Iterator[tuple[str, Training]]:
    data: Training = {"locales": [entry["target"]], "split": "validation", "length": "few_shot"}
    starts = {FEW_SHOT: [entry["sources"][0]["locale"], entry["seed"]], FEW_SHOT_BASE: None}
    for name, start in starts.items():
        for size in entry["sizes"]:
            training = {**data, "start": start}
            yield (name, training) if size == ALL else (name_at(name, size), {**training, "sentences": size})
    if entry["merges"]:
        yield FEW_SHOT_MERGE, {**data, "start": MERGE, "candidates": entry["merges"]}
