"""A merge as the workflow runs it: verified sources in, one task vector out, facts for the sidecar."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.core.digests import digest_of_files, verify
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.architecture import layout_of
from workflow_scripts.merging.engine import merge_files
from workflow_scripts.merging.facts import summarise
from workflow_scripts.merging.tensor_files import TensorFile
from workflow_scripts.models.checkpoints import require_base, skeleton


def merge_models(inputs: Mapping[str, Any], entry: Mapping[str, Any], base: str, out: Path) -> dict[str, Any]:
    """Merge the models of a plan entry's slice.

    Parameters
    ----------
    inputs : mapping
        ``models`` and ``model_digests``, one path per source of the entry, and ``base`` (θ₀'s folder).
    entry : mapping
        ``method``, ``parameters``, ``sources``, ``weights`` (see `selection.plan.merge_slice`) and, for hierarchical
        merges, ``groups``: source → group.
    base : str
        θ₀'s digest; sources taken against another base are refused.
    out : path
        The merged task vector, in a temporary folder: it is written in place.

    Returns
    -------
    dict
        Per part of the model (embedding, encoder, head): the share of the aligned elements that the merge changed,
        and the norm of the merged task vector.
    """
    paths = [Path(p) for p in inputs["models"]]
    for path, digest_file in zip(paths, inputs["model_digests"], strict=True):
        verify(path, digest_of_files(path), digest_file)
        file = TensorFile(path)
        file.close()
        require_base(path, file.metadata, base)
    names, weights = list(entry["sources"]), list(entry["weights"])
    if len(paths) != len(names):
        raise XlmergeError(f"{len(names)} sources but {len(paths)} model files")
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
        durable=False,
    )
    return summarise(facts, layout)
