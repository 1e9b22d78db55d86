"""The models of a merge, opened and found to belong together; no pass over their weights is made."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.checkpoints.architecture import (
    Architecture,
    check_classifiers,
    check_configs,
    check_labels,
    check_vocabularies,
    is_classifier,
    is_generic,
    labels_of,
    load_config,
)
from workflow_scripts.checkpoints.files import (
    BaseWeights,
    Checkpoint,
    TunedWeights,
    locate,
    locate_base,
    short_names,
    task_vector_file,
)
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.messages import warn
from workflow_scripts.merging.streaming import ROWS, Reader, TensorFile
from workflow_scripts.merging.workflow_merge import head_cosines, little_in_common
from workflow_scripts.models.checkpoints import base_digest, require_base

BASE = "the base"
SAMPLE = 4096  # elements per matrix
FAR = 0.5  # a fine-tune moves an encoder by a few per cent


@dataclass(frozen=True)
class OpenSource:
    """A source, open.

    Attributes
    ----------
    name : str
    path : path
        A checkpoint's folder or a task vector's file.
    reader : Reader
        What the task vector is read from.
    checkpoint : Checkpoint or None
        None for a task vector.
    """

    name: str
    path: Path
    reader: Reader
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class Models:
    """Sources and θ₀, open.

    Attributes
    ----------
    sources : tuple of OpenSource
    base : BaseWeights
    architecture : Architecture
        Of the merged model; its config is the first checkpoint's (or else θ₀'s).
    labels : tuple of str
        In the order of the merged head's rows.
    notes : list of str
        What was found that the user should know.
    """

    sources: tuple[OpenSource, ...]
    base: BaseWeights
    architecture: Architecture
    labels: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """The sources' names."""
        return tuple(source.name for source in self.sources)

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """Those sources that are checkpoints, by name."""
        return {source.name: source.checkpoint for source in self.sources if source.checkpoint}

    def note(self, text: str) -> None:
        """Tell the user, and remember it for the report."""
        warn(text)
        self.notes.append(text)


@contextlib.contextmanager
def open_models(
    sources: Sequence[str | Path], base: str | Path, names: Sequence[str] | None = None
) -> Iterator[Models]:
    """Open sources and θ₀ together.

    Parameters
    ----------
    sources : sequence of str or path
        Checkpoint folders, task-vector files or hub ids.
    base : str or path
        θ₀: a checkpoint's folder, a hub id or a built-in encoder.
    names : sequence of str, optional
        One per source, distinct; default: the ends of their paths that tell them apart.

    Raises
    ------
    XlmergeError
        If a model cannot be read, or they do not belong together.
    """
    names = tuple(names or short_names(sources))
    if len(names) != len(sources) or len(set(names)) < len(names):
        raise XlmergeError(f"{len(sources)} sources need as many distinct names, got: {', '.join(names)}")
    located = dict(zip(names, map(locate, sources), strict=True))
    vectors = {n: file for n, path in located.items() if (file := task_vector_file(path)) is not None}
    folders = {n: path for n, path in located.items() if n not in vectors}
    base_folder = locate_base(base)
    if not (base_folder / "config.json").is_file():
        raise XlmergeError(f"the base must be a checkpoint's folder with a config.json, not {base_folder}")
    configs, base_config = {n: load_config(p) for n, p in folders.items()}, load_config(base_folder)
    check_configs({**configs, BASE: base_config})
    check_classifiers(configs)
    check_vocabularies({**folders, BASE: base_folder})
    labels = {n: labels_of(config) for n, config in configs.items()}
    if vectors:
        labels[f"{BASE} (and {', '.join(vectors)})"] = labels_of(base_config)
    check_labels(labels)
    with contextlib.ExitStack() as stack:
        architecture = Architecture.of(next(iter(configs.values()), base_config))
        theta0 = _open_base(base_folder, architecture, is_classifier(base_config), stack)
        checkpoints = {n: _open_checkpoint(n, p, architecture, stack) for n, p in folders.items()}
        readers: dict[str, Reader] = {n: TunedWeights(c, theta0) for n, c in checkpoints.items()}
        if vectors:
            readers |= _open_vectors(vectors, theta0, architecture, base_folder, stack)
        models = Models(
            tuple(OpenSource(n, vectors.get(n, located[n]), readers[n], checkpoints.get(n)) for n in names),
            theta0,
            architecture,
            tuple(_reference(next(iter(labels.values())), base_config, theta0, architecture)),
        )
        _align_labels(models, configs, base_config)
        _note_unused(models)
        yield models


def _open_base(folder: Path, architecture: Architecture, classifier: bool, stack: contextlib.ExitStack) -> BaseWeights:
    """Open θ₀ and find out what it lacks; only what fine-tuning starts at random may be lacking."""
    checkpoint = stack.enter_context(contextlib.closing(Checkpoint(folder, architecture)))
    shapes = dict(architecture.layout.shapes)
    absent = {n for n, s in shapes.items() if n not in checkpoint.stored or checkpoint.stored[n].shape != s}
    for name in sorted(absent):
        if not architecture.is_fresh_part(name):
            stored = checkpoint.stored.get(name)
            problem = f"has tensor {name} with shape {stored.shape}" if stored else f"lacks tensor {name}"
            raise XlmergeError(f"the base {folder} {problem}; the sources have it with shape {shapes[name]}")
    if not classifier:  # a head for another task may have the same shape
        absent |= architecture.label_rows
    return BaseWeights(checkpoint, shapes, frozenset(absent))


def _open_checkpoint(name: str, folder: Path, architecture: Architecture, stack: contextlib.ExitStack) -> Checkpoint:
    checkpoint = stack.enter_context(contextlib.closing(Checkpoint(folder, architecture)))
    for tensor, shape in architecture.layout.shapes.items():
        if tensor not in checkpoint.stored:
            raise XlmergeError(f"{name} lacks tensor {tensor} (in {folder})")
        stored_shape = checkpoint.stored[tensor].shape
        if stored_shape != shape:
            raise XlmergeError(
                f"tensor {tensor} has different shapes: {name} {stored_shape}, by the first config {shape}"
            )
    return checkpoint


def _open_vectors(
    files: Mapping[str, Path], base: BaseWeights, architecture: Architecture, folder: Path, stack: contextlib.ExitStack
) -> dict[str, TensorFile]:
    if base.absent:
        raise XlmergeError(
            f"{', '.join(files)}: task vectors need the θ₀ that they were taken against, but {folder} lacks "
            f"{', '.join(sorted(base.absent))}"
        )
    digest, opened = base_digest(folder), {}
    for name, path in files.items():
        file = stack.enter_context(contextlib.closing(TensorFile(path)))
        require_base(path, file.metadata, digest)
        for tensor, stored in file.stored.items():
            if not tensor.endswith(ROWS):
                _check_vector_shape(name, tensor, stored.shape, tensor + ROWS in file.stored, architecture)
        opened[name] = file
    return opened


def _check_vector_shape(name: str, tensor: str, found: tuple[int, ...], rows: bool, architecture: Architecture) -> None:
    shape = architecture.layout.shapes.get(tensor)
    if shape is None:
        raise XlmergeError(f"{name} has a tensor {tensor} that the model does not have")
    if found[1:] != shape[1:] or (not rows and found != shape):
        raise XlmergeError(f"tensor {tensor} has different shapes: {name} {found}, the base {shape}")


def _reference(first: list[str], base: Any, theta0: BaseWeights, architecture: Architecture) -> list[str]:
    """Return the order of labels that all heads are brought into: θ₀'s where its head has them, else the first's."""
    ours = labels_of(base)
    has_head = not theta0.absent & architecture.label_rows
    return ours if has_head and set(ours) == set(first) else first


def _align_labels(models: Models, configs: Mapping[str, Any], base: Any) -> None:
    """Bring the rows of each checkpoint's output layer into the reference order."""
    wanted, rows = list(models.labels), sorted(models.architecture.label_rows)
    for name, checkpoint in models.checkpoints.items():
        labels = labels_of(configs[name])
        if labels != wanted:
            for tensor in rows:
                checkpoint.permute(tensor, [labels.index(label) for label in wanted])
            models.note(f"the labels of {name} are in another order; the rows of its head were moved to match")
    ours = labels_of(base)
    if not (models.base.absent & models.architecture.label_rows or is_generic(ours) or ours == wanted):
        models.note("the labels of the base's head are not the sources'; its rows are taken as they stand")


def _note_unused(models: Models) -> None:
    """Tell what is left out; of θ₀, whose head for pretraining is expected, in the report only."""
    for name, checkpoint in {**models.checkpoints, BASE: models.base.checkpoint}.items():
        if checkpoint.unused:
            note = models.notes.append if name == BASE else models.note
            note(f"{name}: not part of a sequence classifier, left out: {', '.join(checkpoint.unused)}")


def encoder_distances(models: Models) -> dict[str, float]:
    """Return each source's ‖τ‖/‖θ₀‖ over a sample of the encoder's matrices; tell where it is implausibly large."""
    layout = models.architecture.layout
    square, squares = 0.0, dict.fromkeys(models.names, 0.0)
    for name, shape in layout.shapes.items():
        if layout.layer(name) is None or len(shape) < 2 or name in models.base.absent:
            continue
        size = prod(shape)
        values = np.empty(min(SAMPLE, size), np.float32)
        start = (size - len(values)) // 2
        for source in models.sources:
            if name in source.reader.stored:
                source.reader.read(name, start, values)
                if not np.isfinite(values).all():
                    raise XlmergeError(f"tensor {name} is not finite in {source.name}")
                squares[source.name] += float(np.dot(values, values))
        models.base.read(name, start, values)
        square += float(np.dot(values, values))
    ratios = {name: sqrt(moved / square) if square else 0.0 for name, moved in squares.items()}
    for name, ratio in ratios.items():
        if ratio > FAR:
            models.note(
                f"{name} is far from the base: ‖θ−θ₀‖/‖θ₀‖ is {ratio:.2f} in the encoder, where a fine-tune's is a few "
                "per cent. It was probably fine-tuned from another base."
            )
    return {name: round(ratio, 6) for name, ratio in ratios.items()}


def cosines_of_heads(models: Models, tensors: frozenset[str]) -> list[list[float]]:
    """Return the pairwise cosines of the sources' heads (whole weights); tell if a pair has little in common.

    Parameters
    ----------
    models : Models
    tensors : frozenset of str
        The tensors that become the sources' mean.
    """
    cosines = head_cosines({source.name: source.reader for source in models.sources}, models.base, tensors)
    if warning := little_in_common(cosines):
        models.note(warning)
    return cosines
