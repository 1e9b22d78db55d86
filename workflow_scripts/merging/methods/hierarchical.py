"""Hierarchical: merge within each family (genus, script, region) of the sources, then across the groups."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.engine import run_merge
from workflow_scripts.merging.method import Merge
from workflow_scripts.merging.pieces import Context
from workflow_scripts.merging.streaming import Reader

USES_WEIGHTS = True
SHAPE = "merge"
INNER = ("inner", "outer")


def hierarchical(
    merge: Merge,
    *,
    by: Annotated[
        Literal["family", "genus", "script", "region"], Field(description="What the sources are grouped by.")
    ] = "family",
    inner: Annotated[str, Field(description="Method within a group.")] = "similarity",
    inner_parameters: Annotated[
        dict[str, Any] | None, Field(description="Its parameters; λ is 1 within a group.")
    ] = None,
    outer: Annotated[str, Field(description="Method across the groups.")] = "similarity",
    outer_parameters: Annotated[dict[str, Any] | None, Field(description="Its parameters.")] = None,
    group_weights: Annotated[
        Literal["equal", "summed"], Field(description="Groups weigh the same, or the sum of their sources' weights.")
    ] = "equal",
) -> Merge:
    """Merge within each group, and return the merge across the groups.

    Within a group the weights are those of its sources, made to sum to 1, and λ = 1. A group of one is its source as it
    is; a group without weight takes no part. With ``summed`` weights a linear method gives the same as without groups.

    Parameters
    ----------
    merge : Merge
        ``context.groups``: source → group.

    Returns
    -------
    Merge
        Of the groups' task vectors (float32 files in the merge's folder), named like the groups.

    Notes
    -----
    The older study's proposal; other libraries have no counterpart.
    """
    weights = merge.context.weights
    groups = {n: m for n, m in sorted(_members(merge.context, by).items()) if weights[m].sum() > 0}
    sources = tuple(_merge_group(merge, m, inner, inner_parameters or {}) for m in groups.values())
    shares = np.array([weights[m].sum() if group_weights == "summed" else 1.0 for m in groups.values()])
    context = replace(merge.context, names=tuple(groups), weights=shares / shares.sum(), groups={})
    return replace(merge, sources=sources, context=context, method=outer, parameters=outer_parameters or {})


def _members(context: Context, by: str) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for source, name in enumerate(context.names):
        group = context.groups.get(name, "unknown")
        if group == "unknown":
            raise XlmergeError(f"hierarchical: the {by} of {name} is not known; describe it under `languages:`")
        members.setdefault(group, []).append(source)
    return members


def _merge_group(merge: Merge, members: list[int], method: str, given: Mapping[str, Any]) -> Path | Reader:
    """Merge one group into a file of its own; a group of one is its source."""
    if len(members) == 1:
        return merge.sources[members[0]]
    names, weights = tuple(merge.context.names[m] for m in members), merge.context.weights[members]
    context = replace(merge.context, names=names, weights=weights / weights.sum())
    folder = Path(tempfile.mkdtemp(dir=merge.folder))
    sources, settings = tuple(merge.sources[m] for m in members), {**given, "scaling": 1.0}
    within = replace(merge, sources=sources, context=context, method=method, parameters=settings, folder=folder)
    run_merge(within, folder / "merged.safetensors", {})
    return folder / "merged.safetensors"


def grouped_by(parameters: Mapping[str, Any]) -> str:
    """Return what it has to know of each source."""
    return str(parameters["by"])


def check(parameters: Mapping[str, Any]) -> None:
    """Raise an `XlmergeError` if λ is set within the groups."""
    if "scaling" in (parameters["inner_parameters"] or {}):
        raise XlmergeError("hierarchical: λ is 1 within a group; `scaling` belongs into `outer_parameters`")
