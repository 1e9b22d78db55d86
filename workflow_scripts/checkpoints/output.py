"""The merged model as a Hugging Face folder."""

import json
import shutil
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.checkpoints.files import TOKENIZER, WEIGHTS
from workflow_scripts.checkpoints.models import Models
from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.dropping import spans
from workflow_scripts.merging.streaming import ITEM_BYTES, PIECE, Tensor, TensorWriter

DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def storage(models: Models, dtype: str | None) -> dict[str, str]:
    """Return tensor name → storage dtype of the merged model: the one given, else θ₀'s.

    What θ₀ lacks is stored like the first checkpoint's; doubles become float32. ``"widest"`` is a dtype that holds all
    models' values, tensor by tensor.
    """
    if dtype == "widest":
        return {name: _widest(models, name) for name in models.architecture.layout.shapes}
    checkpoint = next(iter(models.checkpoints.values()), models.base.checkpoint)
    dtypes = {}
    for name in models.architecture.layout.shapes:
        stored = (checkpoint if name in models.base.absent else models.base.checkpoint).stored[name].dtype
        dtypes[name] = DTYPES[dtype] if dtype else stored if stored in DTYPES.values() else "F32"
    return dtypes


def _widest(models: Models, name: str) -> str:
    holders = [c for c in (*models.checkpoints.values(), models.base.checkpoint) if name in c.stored]
    kinds = {c.stored[name].dtype for c in holders} or {"F32"}
    return kinds.pop() if len(kinds) == 1 and kinds <= set(DTYPES.values()) else "F32"


def stored_bytes(models: Models, dtypes: Mapping[str, str]) -> int:
    """Return the size of the merged weights."""
    shapes = models.architecture.layout.shapes
    return sum(prod(s) * ITEM_BYTES[dtypes[n]] for n, s in shapes.items())


class CheckpointWriter:
    """Adds merged task-vector elements to θ₀ and writes the sum; what is not merged is θ₀'s.

    Parameters
    ----------
    path : path
    models : Models
    dtypes : mapping
        Tensor name → storage dtype.
    tensors : list of Tensor
        Those that will be written; one aligned by rows is copied here and patched later.
    """

    def __init__(self, path: Path, models: Models, dtypes: Mapping[str, str], tensors: list[Tensor]) -> None:
        self._base, self._dtypes = models.base, dtypes
        self._by_rows = {t.name: t for t in tensors if t.rows is not None}
        shapes = {n: (s, dtypes[n]) for n, s in models.architecture.layout.shapes.items()}
        buffers = models.base.checkpoint.buffers
        kept = {n: (b.shape, b.dtype) for n, b in buffers.items()}
        self._writer = TensorWriter(path, shapes | kept, {"format": "pt"})
        for name in buffers:
            self._writer.write(name, 0, models.base.checkpoint.read_buffer(name))
        merged = {t.name for t in tensors if t.rows is None}
        for name, (shape, _) in shapes.items():
            if name not in merged:
                self._copy(name, prod(shape))

    def __enter__(self) -> "CheckpointWriter":
        """Return the writer."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Close the file."""
        self._writer.__exit__(*error)

    def _copy(self, name: str, size: int) -> None:
        for start in range(0, size, PIECE):
            self._put(name, start, self._base.piece(name, start, min(PIECE, size - start)))

    def write(self, name: str, start: int, values: np.ndarray) -> None:
        """Add merged elements (overwritten) to θ₀'s from element `start` of an aligned tensor on."""
        if name not in self._by_rows:
            self._add(name, start, values)
            return
        for offset, position, length in spans(self._by_rows[name], start, len(values)):
            self._add(name, position, values[offset : offset + length])

    def _add(self, name: str, start: int, values: np.ndarray) -> None:
        np.add(values, self._base.piece(name, start, len(values)), out=values)
        self._put(name, start, values)

    def _put(self, name: str, start: int, values: np.ndarray) -> None:
        self._writer.write(name, start, encode(values, self._dtypes[name], name))


def encode(values: np.ndarray, dtype: str, name: str) -> np.ndarray:
    """Return float32 values as a storage dtype holds them, rounded to nearest, ties to even.

    Raises
    ------
    XlmergeError
        If a value is too large for it.
    """
    if dtype == "F32":
        return values
    if dtype == "BF16":
        bits = values.view(np.uint32)
        rounded = (bits + (bits >> np.uint32(16) & np.uint32(1)) + np.uint32(0x7FFF)) >> np.uint32(16)
        return rounded.astype(np.uint16)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise XlmergeError(f"tensor {name} has values too large for float16: use `--dtype bfloat16` or float32")
    return half


def write_companions(folder: Path, models: Models, dtypes: Mapping[str, str]) -> None:
    """Write config.json (the first checkpoint's, with the aligned labels) and the tokenizer's files."""
    folders = [c.folder for c in (*models.checkpoints.values(), models.base.checkpoint)]
    config = json.loads((folders[0] / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = [models.architecture.kind]
    config["id2label"] = {str(i): label for i, label in enumerate(models.labels)}
    config["label2id"] = {label: i for i, label in enumerate(models.labels)}
    kinds = list(dtypes.values())
    most = max(DTYPES, key=lambda name: kinds.count(DTYPES[name]))
    config |= dict.fromkeys({"dtype", "torch_dtype"} & config.keys() or {"dtype"}, most)
    write_json(folder / "config.json", config)
    for file in tokenizer_files(folders):
        shutil.copyfile(file, folder / file.name)


def tokenizer_files(folders: Sequence[Path]) -> list[Path]:
    """Return the tokenizer's files of the first folder that has any."""
    present = ([file for name in TOKENIZER if (file := folder / name).is_file()] for folder in folders)
    return next(filter(None, present), [])


def check_output(out: Path, as_folder: bool, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Raise an `XlmergeError` if an output would destroy something, or change a model that is merged."""
    resolved = out.resolve()
    for path in inputs:
        if resolved == path.resolve() or resolved in path.resolve().parents:
            raise XlmergeError(f"the output {out} would replace {path}, which is merged")
        if path.resolve() in resolved.parents:
            raise XlmergeError(f"the output {out} would lie in {path}, which is merged: choose a place outside of it")
    if not out.exists() or (as_folder and out.is_dir() and not any(out.iterdir())):
        return
    if as_folder != out.is_dir():
        raise XlmergeError(f"the output {out} is a {'folder' if out.is_dir() else 'file'} already: choose another name")
    if not overwrite:
        raise XlmergeError(f"the output {out} exists: choose another name, or replace it with `--overwrite`")
    if as_folder and not ((out / "config.json").is_file() and (out / WEIGHTS).is_file()):
        raise XlmergeError(f"the output {out} holds something else than a model, and is not overwritten")


def check_space(out: Path, needed: int) -> None:
    """Raise an `XlmergeError` if an output's disk has too little room."""
    existing = next(p for p in out.resolve().parents if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise XlmergeError(f"{out} needs {needed / 1e9:.2f} GB, but {existing} has only {free / 1e9:.2f} GB left")
