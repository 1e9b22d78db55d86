"""Slices of the plan: what of an entry determines a merge or a training, read by the rules that make them."""

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.merging.method import load_method
from workflow_scripts.selection.trainings import trainings_of

Slices = dict[str, dict[str, Any]]


@cache
def _read_slices(path: str, modified: int) -> tuple[Slices, Slices]:
    with open(path, encoding="utf-8") as handle:
        plan = json.load(handle)
    merges = {key: merge_slice(entry) for key, entry in plan.items() if not entry.get("trained")}
    trainings: Slices = {}
    for entry in plan.values():
        trainings.setdefault(f"{entry['target']}/{entry['seed']}", {}).update(trainings_of(entry))
    return merges, trainings


def planned_merges(path: str) -> Slices:
    """Return the merge slices of a plan file by `entry_key`; read once per version of the file."""
    return _read_slices(str(path), os.stat(path).st_mtime_ns)[0]


def planned_trainings(path: str, target: str, seed: int | str) -> Slices:
    """Return the trainings beside the merges of one target and seed, by name; see `selection.trainings`."""
    return _read_slices(str(path), os.stat(path).st_mtime_ns)[1].get(f"{target}/{seed}", {})


def merge_slice(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a plan entry that determines the merged weights; the rest may change freely.

    Sources are in alphabetical order, and a method that ignores weights gets uniform ones: a change that cannot change
    the result changes nothing here. ``models``: [locale, seed] of each source; ``top1``: the source that came first,
    where a baseline asks for it; ``measurements``: what has to be measured on each source, as
    [measurement, locale, text's locale, split]; ``texts``: the sentences that the merge looks at while it is made, as
    [locale, split].
    """
    uses_weights = registry.load("merge method", entry["method"]).USES_WEIGHTS
    sources = sorted(entry["sources"], key=_name)
    names = [_name(s) for s in sources]
    parts: dict[str, Any] = {
        "method": entry["method"],
        "parameters": entry["parameters"],
        "sources": names,
        "models": [[s["locale"], s.get("seed", entry["seed"])] for s in sources],
        "weights": [s["weight"] if uses_weights else 1 / len(sources) for s in sources],
    }
    if entry.get("shrunk_top1"):
        parts["top1"] = _name(entry["sources"][0])
    if "groups" in entry:
        parts["groups"] = entry["groups"]
    method = load_method(entry["method"], entry["parameters"])
    if texts := method.texts(entry["target"], names):
        parts["texts"] = [list(text) for text in texts]
    wanted = method.measurement
    if wanted is not None:
        parts["measurements"] = {
            s: [[wanted.key, s, *text] for text in wanted.texts(s, entry["target"])] for s in names
        }
    return parts


def _name(source: Mapping[str, Any]) -> str:
    """Return the name that a source has in its merge: the locale, with the seed where seeds are merged."""
    return f"{source['locale']}-seed{source['seed']}" if "seed" in source else str(source["locale"])
