"""A merge as the workflow runs it: verified sources in, one task vector out, facts for the sidecar.

A fine-tune made elsewhere starts from a random head of its own, so that θ − θ₀ of the head is mostly the difference of
two random draws: trimming it or electing signs in it means nothing, and merges take the heads' weighted mean.
"""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.core.digests import verify_file
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.inputs import stated
from workflow_scripts.core.messages import warn
from workflow_scripts.merging.engine import Source, merge_files, summarise
from workflow_scripts.merging.pieces import Layout, gram
from workflow_scripts.merging.streaming import Reader, Sources, TensorFile
from workflow_scripts.models.checkpoints import skeleton, verify_task_vector

OWN_HEAD = "own_head"  # in a task vector's metadata: its head did not start from θ₀'s
SAME_START = 0.5  # cosine with θ₀'s head: heads drawn apart are near 0, fine-tuning moves a head far less
ALIKE = 0.5


def head_cosines(
    sources: Mapping[str, Path] | Mapping[str, Reader], base: Reader, tensors: Collection[str]
) -> list[list[float]]:
    """Return the pairwise cosines of the sources' heads (whole weights).

    Parameters
    ----------
    sources : mapping
        Name → task vector.
    base : Reader
        θ₀.
    tensors : collection of str
        The head's; without any there are no cosines.
    """
    if not tensors:
        return []
    opened = Sources(
        list(sources.values()), list(sources), {n: base.stored[n].shape for n in tensors if n in base.stored}, tensors
    )
    try:
        products = sum((gram(opened, tensor, base) for tensor in opened.tensors), np.zeros((len(sources),) * 2))
    finally:
        opened.close()
    norms = np.sqrt(np.diag(products))
    lengths = np.outer(norms, norms)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return [[round(float(c), 6) for c in row] for row in cosines]


def little_in_common(cosines: Sequence[Sequence[float]]) -> str | None:
    """Return a warning if two heads have little in common."""
    lowest = min((c for i, row in enumerate(cosines) for c in row[i + 1 :]), default=1.0)
    if lowest >= ALIKE:
        return None
    return (
        f"the sources' heads have little in common (lowest cosine {lowest:.2f}), so their mean may classify badly: "
        "they probably started from different random heads. Fine-tune from one θ₀ with a head instead."
    )


def merge_models(
    inputs: Mapping[str, Any],
    entry: Mapping[str, Any],
    base: str,
    out: Path,
    coefficients: Mapping[str, Sequence[float]] | None = None,
    measured: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Merge the models of a plan entry's slice.

    Parameters
    ----------
    inputs : mapping
        ``models`` and ``model_digests``, one path per source of the entry; ``base``: θ₀'s folder; ``measurements`` and
        ``measurement_digests``: source → files, for methods that want them.
    entry : mapping
        ``method``, ``parameters``, ``sources``, ``weights`` (see `selection.plan.merge_slice`) and, for hierarchical
        merges, ``groups``: source → group.
    base : str
        θ₀'s digest; sources taken against another base are refused.
    out : path
        The merged task vector, in a temporary folder: it is written in place.
    coefficients : mapping, optional
        For methods that adapt: what was learned.
    measured : mapping, optional
        Source → a file with what was measured along with this merge.

    Returns
    -------
    dict
        Per part of the model (embedding, encoder, head): the share of the aligned elements that the merge changed,
        and the norm of the merged task vector. Where a source's head did not start from θ₀'s, the head is the sources'
        weighted mean, and ``head_cosines`` says how much the heads have in common.
    """
    own_heads = [
        verify_task_vector(model.path, model.digest_file, base).get(OWN_HEAD) for model in stated(inputs, "model")
    ]
    sources = [
        replace(source, measurements=(measured[source.name],)) if measured else source
        for source in sources_of(inputs, entry)
    ]
    layout = Layout.of(skeleton(inputs["base"]))
    theta0 = Path(inputs["base"]) / "model.safetensors"
    merge_facts = merge_files(
        sources,
        entry["method"],
        entry["parameters"],
        out,
        {"base": base},
        layout=layout,
        base=theta0,
        coefficients=coefficients,
        averaged=layout.head if any(own_heads) else frozenset(),
        durable=False,
    )
    facts = summarise(merge_facts, layout)
    return {**facts, "head_cosines": _head_cosines(sources, theta0, layout.head)} if any(own_heads) else facts


def sources_of(inputs: Mapping[str, Any], entry: Mapping[str, Any]) -> list[Source]:
    """Return a plan entry's sources, their measurements verified; arguments as of `merge_models`."""
    names, paths = entry["sources"], inputs["models"]
    if len(paths) != len(names):
        raise XlmergeError(f"{len(names)} sources but {len(paths)} model files")
    groups, measured = entry.get("groups", {}), inputs.get("measurements", {})
    for name, files in measured.items():
        for file, digest_file in zip(files, inputs["measurement_digests"][name], strict=True):
            verify_file(file, digest_file)
    return [
        Source(name, Path(path), weight, groups.get(name), tuple(map(Path, measured.get(name, ()))))
        for name, path, weight in zip(names, paths, entry["weights"], strict=True)
    ]


def _head_cosines(sources: Sequence[Source], theta0: Path, head: frozenset[str]) -> list[list[float]]:
    with contextlib.closing(TensorFile(theta0)) as base:
        cosines = head_cosines({source.name: source.path for source in sources}, base, head)
    if warning := little_in_common(cosines):
        warn(f"merging {', '.join(source.name for source in sources)}: {warning}")
    return cosines


def shrink_model(inputs: Mapping[str, Any], base: str, merged: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write α·τ of one model, as long as a merged task vector: is the merge more than a shorter step.

    Parameters
    ----------
    inputs : mapping
        ``models`` and ``model_digests``, one path each; ``base``: θ₀'s folder.
    base : str
        θ₀'s digest.
    merged : mapping
        What `merge_models` returned for the merge.
    out : path

    Returns
    -------
    dict
        Like that of `merge_models`, and ``alpha`` = ‖τ_merged‖/‖τ‖.
    """
    entry: dict[str, Any] = {"sources": ["top1"], "weights": [1.0], "method": "average", "parameters": {}}
    alpha = norm_of(merged) / norm_of(merge_models(inputs, entry, base, out))
    shrunk = {**entry, "method": "task_arithmetic", "parameters": {"scaling": alpha}}
    return {**merge_models(inputs, shrunk, base, out), "alpha": alpha}


def norm_of(facts: Mapping[str, Any]) -> float:
    """Return the norm of a whole task vector from the facts of its parts."""
    return float(sum(facts[part]["norm"] ** 2 for part in ("embedding", "encoder", "head")) ** 0.5)
