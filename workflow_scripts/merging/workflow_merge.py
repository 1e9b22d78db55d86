"""A merge as the workflow runs it: verified sources in, one task vector out, facts for the sidecar."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.core.digests import verify_file
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.messages import warn
from workflow_scripts.merging.architecture import layout_of
from workflow_scripts.merging.engine import merge_files
from workflow_scripts.merging.facts import summarise
from workflow_scripts.merging.heads import OWN_HEAD, head_cosines, little_in_common
from workflow_scripts.merging.tensor_files import TensorFile
from workflow_scripts.models.checkpoints import skeleton, verify_task_vector


def merge_models(
    inputs: Mapping[str, Any],
    entry: Mapping[str, Any],
    base: str,
    out: Path,
    coefficients: Mapping[str, Sequence[float]] | None = None,
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

    Returns
    -------
    dict
        Per part of the model (embedding, encoder, head): the share of the aligned elements that the merge changed,
        and the norm of the merged task vector. Where a source's head did not start from θ₀'s, the head is the sources'
        weighted mean, and ``head_cosines`` says how much the heads have in common.
    """
    paths = [Path(p) for p in inputs["models"]]
    digest_files = zip(paths, inputs["model_digests"], strict=True)
    metadata = [verify_task_vector(path, digest_file, base) for path, digest_file in digest_files]
    own_heads = any(found.get(OWN_HEAD) for found in metadata)
    names, weights = list(entry["sources"]), list(entry["weights"])
    if len(paths) != len(names):
        raise XlmergeError(f"{len(names)} sources but {len(paths)} model files")
    measurements = {source: [Path(f) for f in files] for source, files in inputs.get("measurements", {}).items()}
    for source, files in measurements.items():
        for path, digest_file in zip(files, inputs["measurement_digests"][source], strict=True):
            verify_file(path, digest_file)
    layout = layout_of(skeleton(inputs["base"]))
    theta0 = Path(inputs["base"]) / "model.safetensors"
    facts = merge_files(
        paths,
        names,
        weights,
        entry["method"],
        entry["parameters"],
        out,
        {"base": base},
        layout=layout,
        groups=entry.get("groups"),
        base=theta0,
        measurements=measurements,
        coefficients=coefficients,
        averaged=layout.head if own_heads else frozenset(),
        durable=False,
    )
    found = summarise(facts, layout)
    return {**found, "head_cosines": _head_cosines(paths, names, theta0, layout.head)} if own_heads else found


def _head_cosines(paths: Sequence[Path], names: Sequence[str], theta0: Path, head: frozenset[str]) -> list[list[float]]:
    with contextlib.closing(TensorFile(theta0)) as base:
        cosines = head_cosines(paths, names, base, head)
    if warning := little_in_common(cosines):
        warn(f"merging {', '.join(names)}: {warning}")
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
