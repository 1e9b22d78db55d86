"""The streaming merge: task vectors in, one task-vector file (or what a writer makes of it) out, in little memory."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import Merge, Method, Step, load_method
from workflow_scripts.merging.pieces import Context, Layout, Piece, pieces
from workflow_scripts.merging.streaming import ROWS, Progress, Reader, Sources, Tensor, TensorFile, TensorWriter

HEAP = 24 << 20  # bytes


@dataclass
class MergeFacts:
    """What a merge did, for its sidecar.

    Attributes
    ----------
    nonzero, elements : dict of str to int
        Per tensor: elements of the merged task vector that are not 0, and all aligned elements.
    squared_norm : dict of str to float
        Per tensor, of the merged task vector.
    moved : set of str
        Tensors that a source changed.
    """

    nonzero: dict[str, int] = field(default_factory=dict)
    elements: dict[str, int] = field(default_factory=dict)
    squared_norm: dict[str, float] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    @property
    def erased(self) -> list[str]:
        """Tensors that sources changed and the merge leaves at θ₀: trimming left no element, or none agreed."""
        return sorted(name for name in self.moved if self.nonzero[name] == 0)

    def note(self, tensor: Tensor, merged: np.ndarray) -> None:
        """Take in a piece of the merged task vector."""
        name, norm = tensor.name, float(np.dot(merged, merged))
        self.nonzero[name] = self.nonzero.get(name, 0) + int(np.count_nonzero(merged != 0))
        self.elements[name] = tensor.size
        self.squared_norm[name] = self.squared_norm.get(name, 0.0) + norm


def summarise(facts: MergeFacts, layout: Layout) -> dict[str, Any]:
    """Return density and norm per part of the model."""
    parts: dict[str, list[str]] = {"embedding": [], "encoder": [], "head": []}
    for name in facts.elements:
        parts[layout.part(name)].append(name)
    return {
        part: {
            "elements": sum(facts.elements[n] for n in names),
            "density": sum(facts.nonzero[n] for n in names) / max(1, sum(facts.elements[n] for n in names)),
            "norm": sum(facts.squared_norm[n] for n in names) ** 0.5,
        }
        for part, names in parts.items()
    }


class Writer(Protocol):
    """Takes the merged elements; a context manager."""

    def __enter__(self) -> "Writer":
        """Begin."""

    def __exit__(self, *error: Any) -> None:
        """End."""

    def write(self, name: str, start: int, values: np.ndarray) -> None:
        """Take merged elements (float32, flat) from element `start` of an aligned tensor on; may overwrite them."""


OpenWriter = Callable[[list[Tensor]], Writer]


@dataclass(frozen=True)
class Source:
    """A task vector that takes part in a merge.

    Attributes
    ----------
    name : str
        No other source's: random masks belong to names.
    path : Path
    weight : float
        0 or more; those of all sources sum to 1.
    group : str or None
        For hierarchical merges.
    measurements : tuple of Path
        Files with what the method wanted to have measured on it.
    """

    name: str
    path: Path
    weight: float
    group: str | None = None
    measurements: tuple[Path, ...] = ()


def merge_files(
    sources: Sequence[Source],
    method: str,
    parameters: Mapping[str, Any],
    out: str | Path,
    metadata: Mapping[str, Any],
    *,
    layout: Layout | None = None,
    base: str | Path | None = None,
    coefficients: Mapping[str, Sequence[float]] | None = None,
    averaged: frozenset[str] = frozenset(),
    durable: bool = True,
) -> MergeFacts:
    """Merge task-vector files.

    Parameters
    ----------
    sources : sequence of Source
        Their order does not matter.
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
    base : path, optional
        θ₀'s safetensors file, for methods that need more than task vectors.
    coefficients : mapping, optional
        For methods that adapt: block of the model → one per source, in the alphabetical order of the sources.
    averaged : frozenset of str
        Tensors that become the weighted mean, whatever the method; needs a layout with shapes.
    durable : bool
        Write under a temporary name, to disk, then rename; False suits a file that lives in a temporary folder.

    Raises
    ------
    XlmergeError
        If the sources do not fit each other or the method, or a value is not finite.
    """
    layout, weights = layout or Layout(), tuple(source.weight for source in sources)
    steps = [Step(method, parameters, weights)]
    if averaged:
        rest = replace(steps[0], tensors=frozenset(layout.shapes) - averaged)
        steps = [rest, Step("similarity", {}, weights, averaged)]
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(contextlib.closing(TensorFile(base))) if base is not None else None
        circumstances = Context(
            tuple(source.name for source in sources),
            np.ones(0),
            layout,
            groups={source.name: source.group for source in sources if source.group is not None},
            base=opened,
            measurements={source.name: source.measurements for source in sources if source.measurements},
            coefficients=coefficients or {},
        )
        folder = stack.enter_context(scratch_beside(Path(out)))
        target = stack.enter_context(atomic_path(out)) if durable else Path(out)
        writer = partial(vector_writer, target, metadata)
        return merge_steps([source.path for source in sources], circumstances, steps, writer, folder)


def merge_steps(
    sources: Sequence[Path | Reader],
    circumstances: Context,
    steps: Sequence[Step],
    open_writer: OpenWriter,
    folder: Path,
    progress: Progress | None = None,
) -> MergeFacts:
    """Merge with different methods, parameters or weights for different tensors, into one output.

    Parameters
    ----------
    sources : sequence of path or Reader
        In the order of ``circumstances.names``; their order does not matter.
    circumstances : Context
        Its weights do not count: each step has its own.
    steps : sequence of Step
        Over disjoint sets of tensors. A tensor that no step names stays θ₀'s.
    open_writer : callable
        Aligned tensors → what takes the merged elements.
    folder : path
        For intermediate task vectors.
    progress : Progress, optional
    """
    names = circumstances.names
    order = sorted(range(len(names)), key=lambda i: names[i])
    with contextlib.ExitStack() as stack:
        ordered = [sources[i] for i in order]  # opened once, however many steps there are
        files = tuple(
            stack.enter_context(contextlib.closing(TensorFile(s))) if isinstance(s, Path) else s for s in ordered
        )
        merges = []
        for step in steps:
            check_weights(names, step.weights, step.raw)
            weights = np.array([step.weights[i] for i in order], np.float64)
            layout = circumstances.layout.restricted(step.tensors)
            context = replace(circumstances, names=tuple(names[i] for i in order), weights=weights, layout=layout)
            merges.append(Merge(files, context, step.method, step.parameters, folder, step.tensors))
        return _run(merges, open_writer, progress or Progress())


def run_merge(merge: Merge, out: Path, metadata: Mapping[str, Any]) -> MergeFacts:
    """Do a merge into a task-vector file."""
    return _run([merge], partial(vector_writer, out, metadata), Progress())


def _run(merges: Sequence[Merge], open_writer: OpenWriter, progress: Progress) -> MergeFacts:
    """Do merges over disjoint tensors into one output."""
    _keep_heap()
    facts = MergeFacts()
    with contextlib.ExitStack() as stack:
        ready = [stack.enter_context(_opened(merge, progress)) for merge in merges]
        with open_writer([t for _, sources, _ in ready for t in sources.tensors]) as writer:
            for method, sources, context in ready:
                _stream(method, sources, context, writer, facts, progress)
    return facts


@contextlib.contextmanager
def _opened(merge: Merge, progress: Progress) -> Iterator[tuple[Method, Sources, Context]]:
    """Yield what a merge streams; a combinator's part is done first, then what it returns is opened."""
    method = load_method(merge.method, merge.parameters)
    method.check_sources(len(merge.sources))
    if method.combines:
        with _opened(method(merge), progress) as (rest, sources, context):
            yield replace(rest, factor=rest.factor * method.factor), sources, context
        return
    if method.needs_base and merge.context.base is None:
        raise XlmergeError(f"{merge.method} with these parameters needs θ₀: give the base model")
    base = merge.context.base if method.needs_base else None
    whole = {name: stored.shape for name, stored in base.stored.items()} if base is not None else {}
    with contextlib.closing(Sources(merge.sources, merge.context.names, whole, merge.tensors, progress)) as sources:
        yield method, sources, merge.context


def _keep_heap() -> None:
    """Let the C library keep freed memory: after one freed block of this size, arrays below it cause no page faults."""
    np.empty(HEAP, np.uint8)


def _stream(
    method: Method, sources: Sources, context: Context, writer: Writer, facts: MergeFacts, progress: Progress
) -> None:
    progress.phase(f"{method.name}: first pass", None)
    with _prepared(method, sources, context) as state:
        progress.phase(method.name, len(sources.files) * sum(t.size for t in sources.tensors))
        for piece in pieces(sources, context, lambda tensor: method.shape(tensor, context), state):
            if _moves(piece):
                facts.moved.add(piece.tensor.name)
            merged = method(piece).astype(np.float32, copy=False)
            if not _finite(merged):
                raise XlmergeError(f"the merged tensor {piece.tensor.name} is not finite; {method.name} overflows")
            facts.note(piece.tensor, merged)
            writer.write(piece.tensor.name, piece.start, merged)


@contextlib.contextmanager
def _prepared(method: Method, sources: Sources, context: Context) -> Iterator[Any]:
    """Yield what the method's first pass returns, and close it afterwards if it can be closed."""
    state = method.prepare(sources, context)
    try:
        yield state
    finally:
        if hasattr(state, "close"):
            state.close()


def check_weights(names: Sequence[str], weights: Sequence[float], raw: bool = False) -> None:
    """Raise an `XlmergeError` if weights are negative or do not sum to 1 (unless raw), or a name occurs twice."""
    if len(weights) != len(names):
        raise XlmergeError(f"{len(names)} sources need as many weights, got {len(weights)}")
    if not np.isfinite(weights).all():
        raise XlmergeError(f"weights must be numbers, got {list(weights)}")
    if not raw and (not np.isclose(sum(weights), 1.0) or min(weights) < 0):
        raise XlmergeError(f"weights must be 0 or more and sum to 1, got {list(weights)}")
    if len(set(names)) < len(names):
        raise XlmergeError(f"the sources' names must be distinct, got {', '.join(sorted(names))}")


@contextlib.contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside an output."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merge-", dir=out.parent) as folder:
        yield Path(folder)


def vector_writer(path: Path, metadata: Mapping[str, Any], tensors: list[Tensor]) -> TensorWriter:
    """Open a task-vector file for the merged elements."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {t.name: (t.shape, "F32") for t in tensors}
    by_rows = {t.name + ROWS: t.rows.astype(np.int32) for t in tensors if t.rows is not None}
    shapes |= {name: (rows.shape, "I32") for name, rows in by_rows.items()}
    writer = TensorWriter(path, shapes, {"xlmerge": json.dumps(metadata, sort_keys=True)})
    for name, rows in by_rows.items():
        writer.write(name, 0, rows)
    return writer


def _moves(piece: Piece) -> bool:
    """Return whether a source changed anything in a piece.

    Raises
    ------
    XlmergeError
        If a source's elements are not finite.
    """
    moves = False
    for name, values in zip(piece.context.names, piece.tau, strict=True):
        square = np.dot(values, values)
        if not np.isfinite(square) and not np.isfinite(values).all():
            names = ", ".join(piece.context.names)
            raise XlmergeError(f"tensor {piece.tensor.name} is not finite in {name} (merging {names})")
        moves = moves or bool(square)
    return moves


def _finite(values: np.ndarray) -> bool:
    return bool(np.isfinite(np.dot(values, values)) or np.isfinite(values).all())
