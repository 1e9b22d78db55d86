"""The evaluation of one target: which scores lie where."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.evaluation.packs import Scores, read_pack
from workflow_scripts.results.systems import (
    Row,
    System,
    TargetData,
    baselines,
    mean_over_seeds,
    merge_systems,
    scored,
    table_row,
)
from workflow_scripts.selection.baselines import SHRUNK_TOP1, shrunk_name
from workflow_scripts.selection.plan import entry_key
from workflow_scripts.selection.trainings import FEW_SHOTS, JOINTS, joint_name

NOT_JUDGED = float("nan")  # validation accuracy of a model that nothing is chosen by


def target_systems(
    inputs: Mapping[str, Any], settings: Mapping[str, Any], plan: Mapping[str, Any], table: pd.DataFrame
) -> Iterator[tuple[int, System]]:
    """Yield every system of one target with its seed: per seed the baselines, then every experiment.

    Parameters
    ----------
    inputs : mapping
        ``rows``: packs in the order of locales × seeds; ``validation_matrices``, ``merges`` and
        ``merges_validation``: one file per seed; ``trained`` likewise, if there are trained baselines.
    settings : mapping
        ``target``, ``locales``, ``seeds``, ``pivot``, ``experiments``, ``baselines`` (names of merges) and
        ``few_shot``: is it among the baselines.
    plan : mapping
        The plan's entries.
    table : DataFrame
        The target's test examples.
    """
    target = settings["target"]
    cells = [(locale, seed) for locale in settings["locales"] for seed in settings["seeds"]]
    row_packs = dict(zip(cells, inputs["rows"], strict=True))
    for i, seed in enumerate(settings["seeds"]):
        models = {locale: read_pack(row_packs[locale, seed], target) for locale in settings["locales"]}
        validation = read_matrix(inputs["validation_matrices"][i])[target].to_dict()
        data = TargetData(target, seed, table, models, validation, settings["pivot"])
        yield from ((seed, system) for system in baselines(data))
        for name in settings["experiments"]:
            entry = plan[entry_key(name, target, seed)]
            yield from ((seed, system) for system in merge_systems(data, entry, *_merged(inputs, i, name)))
            if entry.get("shrunk_top1"):
                shrunk = _merged(inputs, i, shrunk_name(name))
                yield seed, scored(data, SHRUNK_TOP1, entry["selection_tier"], *shrunk, name)
            if entry.get("joint"):
                for joint in JOINTS:
                    scores = read_pack(inputs["trained"][i], joint_name(joint, name))
                    yield seed, scored(data, joint, entry["selection_tier"], scores, NOT_JUDGED, name)
        for name in settings["baselines"]:
            if (key := entry_key(name, target, seed)) in plan:
                yield seed, scored(data, name, plan[key]["tier"], *_merged(inputs, i, name))
        for name in FEW_SHOTS if settings["few_shot"] else ():
            scores = read_pack(inputs["trained"][i], name)
            yield seed, scored(data, name, "labelled validation", scores, NOT_JUDGED)


def table_rows(target: str, systems: Iterable[tuple[int, System]], clusters: np.ndarray) -> Iterator[Row]:
    """Yield the table rows of a target's systems (with their seeds), then those of their means over seeds."""
    found: dict[tuple[str, str], list[System]] = {}
    for seed, system in systems:
        found.setdefault((system.experiment, system.name), []).append(system)
        yield table_row(target, seed, system, clusters)
    for group in found.values():
        yield table_row(target, "mean", mean_over_seeds(group), clusters)


def _merged(inputs: Mapping[str, Any], seed: int, name: str) -> tuple[Scores, float]:
    """Return a merge's test scores and its validation accuracy; `seed` is the seed's position."""
    return read_pack(inputs["merges"][seed], name), read_pack(inputs["merges_validation"][seed], name).accuracy
