"""Per source: each source through a method of its own first, trimmed to its own density, say; then the merge."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.engine import run_merge
from workflow_scripts.merging.method import Merge, inner_method
from workflow_scripts.merging.streaming import Reader

USES_WEIGHTS = True
SHAPE = "merge"
INNER = ("inner", "outer")
BY_SOURCE = "by_source"


def per_source(
    merge: Merge,
    *,
    inner: Annotated[str, Field(description="Method that each source goes through alone.")] = "ties",
    inner_parameters: Annotated[dict[str, Any] | None, Field(description="Its parameters.")] = None,
    by_source: Annotated[
        dict[str, dict[str, Any] | None] | None,
        Field(
            description="Source → parameters that differ from `inner_parameters`; null: the source as it is. "
            "A source that a merge lacks counts for nothing."
        ),
    ] = None,
    outer: Annotated[str, Field(description="Method that merges what results.")] = "similarity",
    outer_parameters: Annotated[dict[str, Any] | None, Field(description="Its parameters.")] = None,
) -> Merge:
    """Put each source through a method alone, and return the merge of what results.

    With one source a method that trims or drops is left with the trimming or dropping: ``inner: ties`` or
    ``dare_linear`` with a density of each source's own.

    Parameters
    ----------
    merge : Merge

    Returns
    -------
    Merge
        Of the new task vectors (float32 files in the merge's folder), with the sources' names and weights.

    Notes
    -----
    mergekit's parameters per model (``density``, ``gamma``, ``epsilon``).
    """
    sparse = by_source or {}
    alone = [sparse.get(name, {}) for name in merge.context.names]
    sources = tuple(
        merge.sources[i] if given is None else _through(merge, i, inner, {**(inner_parameters or {}), **given})
        for i, given in enumerate(alone)
    )
    return replace(merge, sources=sources, method=outer, parameters=outer_parameters or {})


def _through(merge: Merge, source: int, method: str, parameters: Mapping[str, Any]) -> Path | Reader:
    """Put one source through a method, into a file of its own."""
    context = replace(merge.context, names=(merge.context.names[source],), weights=np.ones(1))
    folder = Path(tempfile.mkdtemp(dir=merge.folder))
    alone = replace(merge, sources=(merge.sources[source],), context=context, method=method, parameters=parameters)
    run_merge(replace(alone, folder=folder), folder / "source.safetensors", {})
    return folder / "source.safetensors"


def check(parameters: Mapping[str, Any]) -> None:
    """Raise an `XlmergeError` if a source's own parameters are wrong."""
    for sparse in (parameters["by_source"] or {}).values():
        inner_method(parameters, "inner", sparse)
