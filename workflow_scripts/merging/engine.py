"""The streaming merge: task-vector files in, one task-vector file out, a few megabytes of memory."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.core import registry
from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.signatures import parameters as checked_parameters
from workflow_scripts.core.signatures import plugin_function
from workflow_scripts.merging.sources import Sources, Tensor
from workflow_scripts.merging.tensor_files import ROWS, TensorWriter


@dataclass
class MergeFacts:
    """What a merge did, for its sidecar.

    Attributes
    ----------
    nonzero, elements : dict of str to int
        Per tensor: elements of the merged task vector that are not 0, and all aligned elements.
    squared_norm : dict of str to float
        Per tensor, of the merged task vector.
    """

    nonzero: dict[str, int] = field(default_factory=dict)
    elements: dict[str, int] = field(default_factory=dict)
    squared_norm: dict[str, float] = field(default_factory=dict)


def merge_files(
    paths: list[Path],
    names: list[str],
    weights: list[float],
    method: str,
    parameters: dict[str, Any],
    out: str | Path,
    metadata: dict[str, Any],
) -> MergeFacts:
    """Merge task-vector files.

    Parameters
    ----------
    paths, names, weights : list
        One entry per source; the weights sum to 1.
    method : str
        Name of a merge method.
    parameters : dict
        Its hyper-parameters; missing ones take their defaults.
    out : path
        The merged task vector (float32), written atomically.
    metadata : dict
        Goes into the file; at least ``base``.

    Raises
    ------
    XlmergeError
        If the sources do not fit each other or a value is not finite.
    """
    if not np.isclose(sum(weights), 1.0) or min(weights) < 0:
        raise XlmergeError(f"weights must be 0 or more and sum to 1, got {weights}")
    function, module = plugin_function("merge method", method), registry.load("merge method", method)
    settings = checked_parameters("merge method", method, parameters)
    sources = Sources(paths, names)
    try:
        state = module.prepare(sources, settings) if hasattr(module, "prepare") else None
        facts = MergeFacts()
        with atomic_path(out) as temporary, _writer(temporary, sources.tensors, metadata) as writer:
            for piece in sources.pieces(np.asarray(weights, np.float64), state=state):
                merged = function(piece, **settings)
                _note(facts, piece.tensor, merged, names)
                writer.write(piece.tensor.name, piece.start, merged.astype(np.float32, copy=False))
        return facts
    finally:
        sources.close()


def _writer(path: Path, tensors: list[Tensor], metadata: dict[str, Any]) -> TensorWriter:
    shapes: dict[str, tuple[tuple[int, ...], str]] = {t.name: (t.shape, "F32") for t in tensors}
    by_rows = {t.name + ROWS: t.rows.astype(np.int32) for t in tensors if t.rows is not None}
    shapes |= {name: (rows.shape, "I32") for name, rows in by_rows.items()}
    writer = TensorWriter(path, shapes, {"xlmerge": json.dumps(metadata, sort_keys=True)})
    for name, rows in by_rows.items():
        writer.write(name, 0, rows)
    return writer


def _note(facts: MergeFacts, tensor: Tensor, merged: np.ndarray, names: list[str]) -> None:
    norm = float(np.dot(merged, merged))
    if not np.isfinite(norm):
        raise XlmergeError(f"the merged tensor {tensor.name} is not finite; check the sources {', '.join(names)}")
    facts.nonzero[tensor.name] = facts.nonzero.get(tensor.name, 0) + int(np.count_nonzero(merged))
    facts.elements[tensor.name] = tensor.size
    facts.squared_norm[tensor.name] = facts.squared_norm.get(tensor.name, 0.0) + norm
