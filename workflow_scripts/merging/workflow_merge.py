"""A merge as the workflow runs it: verified sources in, one task vector out, facts for the sidecar."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.core.digests import verify_file
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.architecture import layout_of
from workflow_scripts.merging.engine import merge_files
from workflow_scripts.merging.facts import summarise
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
        ``models`` and ``model_digests``, one path per source of the entry; ``base``: θ₀'s folder; ``statistics`` and
        ``statistic_digests``: source → files, for methods that want them.
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
        and the norm of the merged task vector.
    """
    paths = [Path(p) for p in inputs["models"]]
    for path, digest_file in zip(paths, inputs["model_digests"], strict=True):
        verify_task_vector(path, digest_file, base)
    names, weights = list(entry["sources"]), list(entry["weights"])
    if len(paths) != len(names):
        raise XlmergeError(f"{len(names)} sources but {len(paths)} model files")
    statistics = {source: [Path(f) for f in files] for source, files in inputs.get("statistics", {}).items()}
    for source, files in statistics.items():
        for path, digest_file in zip(files, inputs["statistic_digests"][source], strict=True):
            verify_file(path, digest_file)
    layout = layout_of(skeleton(inputs["base"]))
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
        base=Path(inputs["base"]) / "model.safetensors",
        statistics=statistics,
        coefficients=coefficients,
        durable=False,
    )
    return summarise(facts, layout)


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
