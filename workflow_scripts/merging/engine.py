"""The streaming merge: task-vector files in, one task-vector file out, a few megabytes of memory."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.context import Context, Layout
from workflow_scripts.merging.facts import MergeFacts
from workflow_scripts.merging.method import Merge, Method, load_method
from workflow_scripts.merging.pieces import Piece, pieces
from workflow_scripts.merging.sources import Sources, Tensor
from workflow_scripts.merging.tensor_files import ROWS, TensorFile, TensorWriter

HEAP = 24 << 20  # bytes


def merge_files(
    paths: Sequence[Path],
    names: Sequence[str],
    weights: Sequence[float],
    method: str,
    parameters: Mapping[str, Any],
    out: str | Path,
    metadata: Mapping[str, Any],
    *,
    layout: Layout | None = None,
    groups: Mapping[str, str] | None = None,
    base: str | Path | None = None,
    statistics: Mapping[str, Sequence[Path]] | None = None,
    coefficients: Mapping[str, Sequence[float]] | None = None,
    durable: bool = True,
) -> MergeFacts:
    """Merge task-vector files.

    Parameters
    ----------
    paths, names, weights : sequence
        One entry per source; the names are distinct (random masks belong to names), the weights sum to 1. Their
        order does not matter.
    method : str
        Name of a merge method.
    parameters : mapping
        Its hyper-parameters; missing ones take their defaults.
    out : path
        The merged task vector (float32).
    metadata : mapping
        Goes into the file; at least ``base``.
    layout : Layout, optional
        Which tensor is what; needed by methods that treat encoder layers, embedding and head differently.
    groups : mapping, optional
        Source → group, for hierarchical merges.
    base : path, optional
        θ₀'s safetensors file, for methods that need more than task vectors.
    statistics, coefficients : mapping, optional
        For methods that need data; see `Context`. Coefficients are in the alphabetical order of the sources.
    durable : bool
        Write under a temporary name, to disk, then rename; False suits a file that lives in a temporary folder.

    Raises
    ------
    XlmergeError
        If the sources do not fit each other or the method, or a value is not finite.
    """
    _check_weights(names, weights)
    order = sorted(range(len(names)), key=lambda i: names[i])
    ordered = np.array([weights[i] for i in order], np.float64)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(contextlib.closing(TensorFile(base))) if base is not None else None
        context = Context(
            tuple(names[i] for i in order),
            ordered,
            layout or Layout(),
            groups or {},
            opened,
            statistics or {},
            coefficients or {},
        )
        folder = stack.enter_context(_scratch(Path(out)))
        merge = Merge(tuple(Path(paths[i]) for i in order), context, method, parameters, folder)
        target = stack.enter_context(atomic_path(out)) if durable else Path(out)
        return run_merge(merge, target, metadata)


def run_merge(merge: Merge, out: Path, metadata: Mapping[str, Any]) -> MergeFacts:
    """Do a merge; a combinator's part first, then what it returns."""
    method = load_method(merge.method, merge.parameters)
    method.check_sources(len(merge.paths))
    if method.combines:
        return run_merge(method(merge), out, metadata)
    if method.needs_base and merge.context.base is None:
        raise XlmergeError(f"{merge.method} with these parameters needs θ₀: give the base model")
    base = merge.context.base if method.needs_base else None
    whole = {name: stored.shape for name, stored in base.stored.items()} if base is not None else {}
    with contextlib.closing(Sources(merge.paths, merge.context.names, whole)) as sources:
        return _stream(method, sources, merge.context, out, metadata)


def _keep_heap() -> None:
    """Let the C library keep freed memory: after one freed block of this size, arrays below it cause no page faults."""
    np.empty(HEAP, np.uint8)


def _stream(method: Method, sources: Sources, context: Context, out: Path, metadata: Mapping[str, Any]) -> MergeFacts:
    _keep_heap()
    facts = MergeFacts()
    with _prepared(method, sources, context) as state, _writer(out, sources.tensors, metadata) as writer:
        for piece in pieces(sources, context, lambda tensor: method.shape(tensor, context), state):
            _check_finite(piece)
            merged = method(piece).astype(np.float32, copy=False)
            if not _finite(merged):
                raise XlmergeError(f"the merged tensor {piece.tensor.name} is not finite; {method.name} overflows")
            facts.note(piece.tensor, merged)
            writer.write(piece.tensor.name, piece.start, merged)
    return facts


@contextlib.contextmanager
def _prepared(method: Method, sources: Sources, context: Context) -> Iterator[Any]:
    """Yield what the method's first pass returns, and close it afterwards if it can be closed."""
    state = method.prepare(sources, context)
    try:
        yield state
    finally:
        if hasattr(state, "close"):
            state.close()


def _check_weights(names: Sequence[str], weights: Sequence[float]) -> None:
    if not np.isclose(sum(weights), 1.0) or min(weights) < 0:
        raise XlmergeError(f"weights must be 0 or more and sum to 1, got {list(weights)}")
    if len(set(names)) < len(names):
        raise XlmergeError(f"the sources' names must be distinct, got {', '.join(sorted(names))}")


@contextlib.contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merge-", dir=out.parent) as folder:
        yield Path(folder)


def _writer(path: Path, tensors: list[Tensor], metadata: Mapping[str, Any]) -> TensorWriter:
    shapes: dict[str, tuple[tuple[int, ...], str]] = {t.name: (t.shape, "F32") for t in tensors}
    by_rows = {t.name + ROWS: t.rows.astype(np.int32) for t in tensors if t.rows is not None}
    shapes |= {name: (rows.shape, "I32") for name, rows in by_rows.items()}
    writer = TensorWriter(path, shapes, {"xlmerge": json.dumps(metadata, sort_keys=True)})
    for name, rows in by_rows.items():
        writer.write(name, 0, rows)
    return writer


def _check_finite(piece: Piece) -> None:
    for name, values in zip(piece.context.names, piece.tau, strict=True):
        if not _finite(values):
            names = ", ".join(piece.context.names)
            raise XlmergeError(f"tensor {piece.tensor.name} is not finite in {name} (merging {names})")


def _finite(values: np.ndarray) -> bool:
    return bool(np.isfinite(np.dot(values, values)) or np.isfinite(values).all())
