"""Between checkpoints and the workflow's task vectors: users' own models come in, models and merges go out."""

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from workflow_scripts.checkpoints.architecture import check_labels, labels_of, load_config
from workflow_scripts.checkpoints.cards import render_card
from workflow_scripts.checkpoints.files import locate
from workflow_scripts.checkpoints.merge import merge_checkpoints
from workflow_scripts.core.atomic import write_text
from workflow_scripts.core.messages import warn
from workflow_scripts.merging.method import Step
from workflow_scripts.merging.pieces import Layout
from workflow_scripts.merging.streaming import TensorFile
from workflow_scripts.merging.workflow_merge import OWN_HEAD, SAME_START, head_cosines
from workflow_scripts.models.checkpoints import TaskVector, save_task_vector, skeleton, verify_base


def import_model(inputs: Mapping[str, Any], settings: Mapping[str, Any], out: str | Path) -> tuple[str, dict[str, Any]]:
    """Write θ − θ₀ of a Hugging Face checkpoint; architecture, vocabulary and labels are checked, labels aligned.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``: θ₀.
    settings : mapping
        ``source``: the model's folder or hub id; ``locale``, ``seed``; ``storage``: number format.
    out : path

    Returns
    -------
    str
        The file's digest.
    dict
        What takes the place of a training's history: ``source``, ``distance`` (‖θ−θ₀‖/‖θ₀‖ of the encoder, by a
        sample), ``head_cosine`` (with θ₀'s head), ``notes``.

    Raises
    ------
    XlmergeError
        If the model does not belong to θ₀.
    """
    digest = verify_base(inputs["base"], inputs["base_digest"])
    layout = Layout.of(skeleton(inputs["base"]))
    name, folder = f"{settings['locale']} ({settings['source']})", locate(settings["source"])
    configs = {name: load_config(folder), "the run": load_config(Path(inputs["base"]))}
    check_labels({owner: labels_of(config) for owner, config in configs.items()})
    with tempfile.TemporaryDirectory(dir=Path(out).parent) as scratch:
        whole = Path(scratch) / "whole.safetensors"
        merged = merge_checkpoints(
            [folder], inputs["base"], whole, [Step("average", {}, (1.0,))], names=[name],
            output="task-vector", durable=False,
        )  # fmt: skip
        cosine = _cosine_to_base(whole, Path(inputs["base"]), Path(scratch) / "zero.safetensors", layout)
        task_vector = sparse(load_file(whole), layout)
    if cosine < SAME_START:
        warn(f"{name}: its head did not start from θ₀'s (cosine {cosine:.2f}); merges take the mean of the heads")
    metadata = {"base": digest, OWN_HEAD: cosine < SAME_START, **{k: settings[k] for k in ("locale", "seed", "source")}}
    report = {
        "source": settings["source"],
        "distance": merged["sources"][name]["distance"],
        "head_cosine": cosine,
        "notes": merged["notes"],
    }
    return save_task_vector(task_vector, out, settings["storage"], metadata), report


def sparse(tensors: Mapping[str, torch.Tensor], layout: Layout) -> TaskVector:
    """Return a task vector without what did not change; of the embedding, the changed rows."""
    changed = {name: delta for name, delta in tensors.items() if delta.ne(0).any()}
    if layout.embedding not in changed:
        return TaskVector(changed, {})
    embedding = changed.pop(layout.embedding)
    rows = embedding.ne(0).any(1).nonzero().flatten()
    return TaskVector(changed, {layout.embedding: (rows, embedding[rows])})


def _cosine_to_base(vector: Path, base: Path, zero: Path, layout: Layout) -> float:
    """Return the cosine of a model's head with θ₀'s, whose task vector is 0."""
    save_file({}, zero)
    with contextlib.closing(TensorFile(base / "model.safetensors")) as theta0:
        return head_cosines({"own": vector, "base": zero}, theta0, layout.head)[0][1]


def export(vector: Path, base: str | Path, out: str | Path, card: Mapping[str, Any]) -> None:
    """Write θ₀ + τ as a Hugging Face folder.

    Parameters
    ----------
    vector : path
        A task-vector file.
    base : path
        θ₀'s folder.
    out : path
    card : mapping
        What the model card says; see `cards`.
    """
    merge_checkpoints([vector], base, out, [Step("average", {}, (1.0,))], names=["model"])
    write_text(Path(out) / "README.md", render_card(card))
