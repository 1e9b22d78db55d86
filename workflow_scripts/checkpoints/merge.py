"""Merging checkpoints and task vectors into a checkpoint or a task vector: the function behind the command."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from workflow_scripts.checkpoints import output as out_files
from workflow_scripts.checkpoints.files import WEIGHTS
from workflow_scripts.checkpoints.models import Models, cosines_of_heads, encoder_distances, open_models
from workflow_scripts.core.atomic import atomic_path, write_json
from workflow_scripts.core.errors import XlmergeError, unknown
from workflow_scripts.core.signatures import parameter_model
from workflow_scripts.core.validation import describe
from workflow_scripts.merging.engine import (
    OpenWriter,
    check_weights,
    merge_steps,
    scratch_beside,
    summarise,
    vector_writer,
)
from workflow_scripts.merging.method import Method, Step, load_method
from workflow_scripts.merging.pieces import Context
from workflow_scripts.merging.streaming import PIECE, Progress, Tensor
from workflow_scripts.models.checkpoints import base_digest

Head = Literal["base", "mean"]
Steps = Sequence[Step] | Callable[[Models], Sequence[Step]]
RunMerge = Callable[[OpenWriter], dict[str, Any]]  # merges into what a writer makes of it; returns the report
SHOWN = 5
PROCESS = 450 << 20  # bytes: Python, torch and transformers' config classes, the heap that the engine keeps
WORKING = 6  # copies of a piece that a method makes, and double precision


def averaged_tensors(models: Models, head: Head) -> frozenset[str]:
    """Return the tensors that become the weighted mean of the sources': those that θ₀ lacks, or the whole head."""
    return models.base.absent | (models.architecture.layout.head if head == "mean" else frozenset())


def resolve_steps(models: Models, steps: Steps, head: Head) -> list[Step]:
    """Return steps that name all their tensors.

    What becomes a mean is a step of its own: θ₀ + Σ wᵢ(θᵢ−θ₀), where a tensor that θ₀ lacks counts as 0 in it.

    Raises
    ------
    XlmergeError
        If tensors are unknown, in two steps, or in none though θ₀ lacks them; or a mean would have raw weights.
    """
    given = list(steps(models) if callable(steps) else steps)
    every, averaged = frozenset(models.architecture.layout.shapes), averaged_tensors(models, head)
    named = [name for step in given for name in step.tensors or ()]
    if len(set(named)) < len(named) or sum(step.tensors is None for step in given) > 1:
        raise XlmergeError("two steps merge the same tensors")
    if strange := set(named) - every:
        raise XlmergeError(f"the model has no tensors {', '.join(sorted(strange)[:SHOWN])}")
    resolved: list[Step] = []
    for step in given:
        tensors = every - set(named) if step.tensors is None else step.tensors
        if step.raw and tensors & averaged:
            raise XlmergeError(f"the head is averaged, which takes weights of 0 or more, not {list(step.weights)}")
        resolved.append(replace(step, tensors=tensors - averaged))
        resolved.append(Step("similarity", {}, step.weights, tensors & averaged))
    resolved = [step for step in resolved if step.tensors]
    covered = {name for step in resolved for name in step.tensors or ()}
    if missing := models.base.absent - covered:
        raise XlmergeError(f"the base lacks {', '.join(sorted(missing)[:SHOWN])}, and no step merges it")
    return resolved


def expected_memory(steps: Sequence[Step], context: Context) -> int:
    """Return the expected peak memory in bytes."""
    largest = max((_largest_piece(load_method(s.method, s.parameters), s, context) for s in steps), default=0)
    return PROCESS + 4 * largest * (len(context.names) + WORKING)


def _largest_piece(method: Method, step: Step, context: Context) -> int:
    """Return the elements of the largest piece that a method asks for."""
    if method.combines:
        return max(_largest_piece(inner, step, context) for inner in method.inner.values())
    tensors = [Tensor(n, context.layout.shapes[n], None, 0) for n in step.tensors or ()]
    asked = {t.name: method.shape(t, context) for t in tensors}
    whole = [t.size for t in tensors if asked[t.name] == "tensor"]
    rows = [t.width if len(t.shape) > 1 else t.size for t in tensors if asked[t.name] == "rows"]
    return max([PIECE, *whole, *rows])


def merge_checkpoints(
    sources: Sequence[str | Path],
    base: str | Path,
    out: str | Path,
    steps: Steps,
    *,
    names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    head: Head = "base",
    output: Literal["checkpoint", "task-vector"] = "checkpoint",
    dtype: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    durable: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Merge checkpoints and task vectors.

    Parameters
    ----------
    sources : sequence of str or path
        Hugging Face folders, task-vector files or hub ids.
    base : str or path
        θ₀: a folder, a hub id or a built-in encoder.
    out : path
        A folder, or for ``output="task-vector"`` a file.
    steps : sequence of Step, or callable
        Methods over disjoint sets of tensors; a callable makes them from the opened `Models`, where tensor names and
        shapes are in ``architecture.layout``. A tensor of no step stays θ₀'s.
    names : sequence of str, optional
        Distinct names of the sources; random masks belong to them.
    groups : sequence of str, optional
        Each source's group, for `hierarchical`.
    head : {"base", "mean"}
        Take the head like every tensor (where θ₀ has it), or make it the weighted mean of the sources' heads.
    output : {"checkpoint", "task-vector"}
    dtype : {"float32", "bfloat16", "float16", "widest"}, optional
        Of a checkpoint's weights; default: θ₀'s; widest: what holds all models' values. Task vectors are float32.
    overwrite : bool
        Replace an existing output.
    dry_run : bool
        Make all checks that need no pass over the weights, and write nothing.
    durable : bool
        Wait until the output is on disk before it gets its name.
    progress : Progress, optional

    Returns
    -------
    dict
        What was (or would be) read, merged and written, and what the user should know: ``notes``. It is written beside
        the weights as well: ``xlmerge.json`` in a checkpoint, ``{out}.json`` for a task vector.

    Raises
    ------
    XlmergeError
        If the models do not belong together, a value is not finite, or the output exists.
    """
    out, as_folder = Path(out), output == "checkpoint"
    if dtype is not None and (dtype not in {*out_files.DTYPES, "widest"} or not as_folder):
        allowed = ", ".join([*out_files.DTYPES, "widest"])
        raise XlmergeError(f"dtype {dtype!r}: a checkpoint's is one of {allowed}; a task vector is float32")
    with open_models(sources, base, names) as models:
        inputs = [*(source.path for source in models.sources), models.base.checkpoint.folder]
        out_files.check_output(out, as_folder, overwrite, inputs)
        if not as_folder and models.base.absent:
            lacking = ", ".join(sorted(models.base.absent))
            raise XlmergeError(f"a task vector needs a θ₀ with a head, but the base lacks {lacking}")
        resolved = resolve_steps(models, steps, head)
        _check_methods(resolved, models.names, groups)
        dtypes = out_files.storage(models, dtype if as_folder else "float32")
        grouped = dict(zip(models.names, groups, strict=True)) if groups else {}
        context = Context(models.names, np.ones(0), models.architecture.layout, grouped, models.base)
        report = _describe(models, resolved, context, head)
        size = out_files.stored_bytes(models, dtypes)
        report["output"] = {"path": str(out), "kind": output, "bytes": size}
        out_files.check_space(out, size + _scratch_bytes(models, resolved, groups or ()))
        if dry_run:
            return report

        def merge(open_writer: OpenWriter) -> dict[str, Any]:
            with scratch_beside(out) as folder:
                facts = merge_steps(
                    [source.reader for source in models.sources], context, resolved, open_writer, folder, progress
                )
            report["merged"] = summarise(facts, models.architecture.layout) | {"erased": facts.erased}
            _note_erased(models, facts.erased, len(facts.moved))
            return report

        if as_folder:
            _write_folder(out, models, dtypes, merge, durable)
        else:
            _write_vector(out, models, report["steps"], merge, durable)
        return report


def _check_methods(steps: Sequence[Step], names: Sequence[str], groups: Sequence[str] | None) -> None:
    """Check weights, methods, parameters and groups before anything is read."""
    count = len(names)
    if groups and len(groups) != count:
        raise XlmergeError(f"{count} sources need as many groups, got {len(groups)}: {', '.join(groups)}")
    for step in steps:
        check_weights(names, step.weights, step.raw)
        try:
            method = load_method(step.method, step.parameters)
            method.check_sources(count)
        except ValidationError as error:
            model = parameter_model("merge method", step.method)
            raise XlmergeError(f"parameters of {step.method}: {describe(error, model)}") from None
        for name in method.named_sources:
            if name not in names:
                raise XlmergeError(f"{step.method}: {unknown('source', name, names)}")
        if method.needs_data:
            raise XlmergeError(f"{method.name} needs data beside the weights: it works within the workflow only")
        if method.grouped_by and not groups:
            raise XlmergeError(f"{step.method} needs each source's group ({method.grouped_by}): give `--groups`")


def _scratch_bytes(models: Models, steps: Sequence[Step], groups: Sequence[str]) -> int:
    """Return the size of intermediate task vectors: one per group where groups are merged first."""
    combined = any(load_method(step.method, step.parameters).combines for step in steps)
    shapes = models.architecture.layout.shapes.values()
    return combined * len(set(groups)) * 4 * sum(prod(shape) for shape in shapes)


def _describe(models: Models, steps: Sequence[Step], context: Context, head: Head) -> dict[str, Any]:
    distances, averaged = encoder_distances(models), averaged_tensors(models, head)
    sources = {
        source.name: {
            "path": str(source.path),
            "kind": "checkpoint" if source.checkpoint else "task-vector",
            "bytes": source.reader.bytes,
            "distance": distances[source.name],
        }
        for source in models.sources
    }
    described = [
        {
            "method": step.method,
            "parameters": load_method(step.method, step.parameters).settings,
            "weights": dict(zip(models.names, step.weights, strict=True)),
            "tensors": len(step.tensors or ()),
        }
        for step in steps
    ]
    return {
        "sources": sources,
        "base": {"path": str(models.base.checkpoint.folder), "bytes": models.base.checkpoint.bytes},
        "steps": described,
        "labels": list(models.labels),
        "head": {"averaged": sorted(averaged), "cosines": cosines_of_heads(models, averaged)},
        "memory": expected_memory(steps, context),
        "notes": models.notes,
    }


def _note_erased(models: Models, erased: Sequence[str], moved: int) -> None:
    if erased:
        shown = ", ".join(erased[:SHOWN]) + (" …" if len(erased) > SHOWN else "")
        models.note(f"{len(erased)} of {moved} changed tensors stay θ₀'s, for no source's change was left: {shown}")


def _write_folder(out: Path, models: Models, dtypes: Mapping[str, str], merge: RunMerge, durable: bool) -> None:
    with atomic_path(out, durable=durable) as folder:
        folder.mkdir()
        report = merge(partial(out_files.CheckpointWriter, folder / WEIGHTS, models, dtypes))
        out_files.write_companions(folder, models, dtypes)
        write_json(folder / "xlmerge.json", report)


def _write_vector(out: Path, models: Models, steps: list[dict[str, Any]], merge: RunMerge, durable: bool) -> None:
    metadata = {"base": base_digest(models.base.checkpoint.folder), "merge": steps}
    with atomic_path(out, durable=durable) as temporary:
        report = merge(partial(vector_writer, temporary, metadata))
    write_json(f"{out}.json", report)
