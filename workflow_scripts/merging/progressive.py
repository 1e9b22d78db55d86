"""Gram matrices measured on the way up: what a layer sees in a model whose layers below are merged already."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.data.examples import read_examples
from workflow_scripts.merging.coefficients import block_of
from workflow_scripts.merging.engine import merge_steps, vector_writer
from workflow_scripts.merging.measurements.gram import InputGrams, hooked, linear_layers
from workflow_scripts.merging.method import Step
from workflow_scripts.merging.pieces import Context, Layout
from workflow_scripts.merging.streaming import TensorFile, TensorWriter
from workflow_scripts.models.checkpoints import (
    TaskVector,
    load_task_vector,
    save_task_vector,
    set_task_vector,
    skeleton,
)
from workflow_scripts.models.predict import one_length_batches
from workflow_scripts.models.tokens import compact_model

BATCH_TOKENS = 1024


class _EnoughError(Exception):
    """Ends a forward pass above the block that is measured."""


def measure_upwards(
    method: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    entry: Mapping[str, Any],
    base: str,
    max_length: int,
    seed: int,
    folder: Path,
) -> dict[str, Path]:
    """Measure the Gram matrices of all linear layers' inputs, block by block from the embedding up.

    For each block that training changed, every source's sentences pass through the merged blocks below and the source's
    own block; with what its linear layers see there the block is merged, and the next one follows.

    Parameters
    ----------
    method : str
    parameters : mapping
        ``examples``: sentences per source; all of them go to the merges of the blocks.
    inputs : mapping
        ``models``; ``text`` and ``text_digest``: the tables with each source's sentences; ``base``: θ₀'s folder.
    entry : mapping
        ``sources`` and ``weights``, in the order of the models and of the tables.
    base : str
        θ₀'s digest.
    max_length, seed : int
    folder : path

    Returns
    -------
    dict
        Source → a file with its Gram matrices.
    """
    names, layout = entry["sources"], Layout.of(skeleton(inputs["base"]))
    paths = [Path(path) for path in inputs["models"]]
    groups = [
        _drawn(read_examples(table, digest)["text"].tolist(), parameters["examples"], derive_seed(seed, name))
        for name, table, digest in zip(names, inputs["text"], inputs["text_digest"], strict=True)
    ]
    compact = compact_model(inputs["base"], groups, max_length)
    files: dict[str, list[Path]] = {name: [] for name in names}
    below: list[TaskVector] = []
    for number, tensors in enumerate(_changed_blocks(layout, paths)):
        for name, path, encoded in zip(names, paths, compact.encoded, strict=True):
            part = _restricted(load_task_vector(path, base), tensors)
            set_task_vector(compact.model, inputs["base"], compact.vocabulary, _joined([*below, part]))
            grams = _grams(compact.model, tensors, encoded)
            files[name].append(folder / f"{number}-{name}.safetensors")
            save_task_vector(TaskVector(grams, {}), files[name][-1], "float32", {"base": base})
        measured = {name: [blocks[-1]] for name, blocks in files.items()}
        with contextlib.closing(TensorFile(Path(inputs["base"]) / "model.safetensors")) as theta0:
            context = Context(tuple(names), np.ones(0), layout, base=theta0, measurements=measured)
            step = Step(method, parameters, tuple(entry["weights"]), tensors)
            out = folder / f"{number}.safetensors"
            merge_steps(paths, context, [step], partial(vector_writer, out, {"base": base}), folder)
        below.append(load_task_vector(out, base))
    return {name: _together(parts, folder / f"{name}.safetensors") for name, parts in files.items()}


def _changed_blocks(layout: Layout, paths: Sequence[Path]) -> list[frozenset[str]]:
    """Return the tensors that training changed, by block, from the embedding up."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(contextlib.closing(TensorFile(path))) for path in paths]
        changed = {name for file in files for name in file.stored} & set(layout.shapes)
    order = ["embedding", *(f"layer {i}" for i in range(layout.layers)), "head"]
    blocks = [frozenset(n for n in changed if block_of(n, "layer_wise", layout) == block) for block in order]
    return [tensors for tensors in blocks if tensors]


def _drawn(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Return up to `count` sentences, drawn without replacement."""
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed))[:count]
    return [texts[i] for i in sorted(order.tolist())]


def _restricted(vector: TaskVector, tensors: frozenset[str]) -> TaskVector:
    return TaskVector(
        {n: v for n, v in vector.dense.items() if n in tensors}, {n: v for n, v in vector.rows.items() if n in tensors}
    )


def _joined(vectors: Sequence[TaskVector]) -> TaskVector:
    joined = TaskVector({}, {})
    for vector in vectors:
        joined.dense.update(vector.dense)
        joined.rows.update(vector.rows)
    return joined


def _grams(
    model: PreTrainedModel, tensors: frozenset[str], encoded: Sequence[Sequence[int]]
) -> dict[str, torch.Tensor]:
    """Return XᵀX / n of the inputs of a block's linear layers; passes end above the block."""
    linear = linear_layers(model)
    grams = InputGrams({name: layer for name, layer in linear.items() if name in tensors})
    if not grams.layers:
        return {}

    def end(module: Any, given: Any) -> None:
        if all(grams.rows[name] > seen[name] for name in grams.layers):
            raise _EnoughError

    seen = dict(grams.rows)
    hooks: dict[torch.nn.Module, Callable[..., None]] = {
        layer: partial(grams.add, name) if name in grams.layers else end for name, layer in linear.items()
    }
    with hooked(hooks):
        for batch in one_length_batches(encoded, BATCH_TOKENS):
            seen.update(grams.rows)
            ids = torch.tensor([list(encoded[i]) for i in batch], device=model.device)
            with contextlib.suppress(_EnoughError), torch.inference_mode():
                model(input_ids=ids)
    return {name: value.cpu() for name, value in grams.means().items()}


def _together(parts: Sequence[Path], out: Path) -> Path:
    """Write the tensors of several files into one, a tensor at a time."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(contextlib.closing(TensorFile(part))) for part in parts]
        shapes = {name: (stored.shape, "F32") for file in files for name, stored in file.stored.items()}
        with TensorWriter(out, shapes, {}) as writer:
            for file in files:
                for name, stored in file.stored.items():
                    values = np.empty(int(np.prod(stored.shape)), np.float32)
                    file.read(name, 0, values)
                    writer.write(name, 0, values)
    return out
