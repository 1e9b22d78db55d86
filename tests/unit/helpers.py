"""Task-vector files made of small arrays, and merges of them."""

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from workflow_scripts.merging.engine import MergeFacts, Source, merge_files
from workflow_scripts.merging.pieces import Layout

NAMES = ["de-DE", "fr-FR", "th-TH", "ar-SA", "zh-CN", "fi-FI", "sw-KE", "ru-RU", "el-GR"]


@dataclass(frozen=True)
class Rows:
    """A tensor of which only some rows are stored."""

    positions: Sequence[int]
    values: Any


Vector = Mapping[str, Any]  # tensor name → array, or Rows


def write_vector(path: Path, vector: Vector, dtype: torch.dtype = torch.float32, base: str = "base") -> Path:
    """Write a task-vector file."""
    tensors = {}
    for name, value in vector.items():
        if isinstance(value, Rows):
            tensors[name + ".rows"] = torch.tensor(list(value.positions), dtype=torch.int32)
            value = value.values  # noqa: PLW2901
        tensors[name] = torch.tensor(np.asarray(value, np.float32)).to(dtype)
    save_file(tensors, path, metadata={"xlmerge": json.dumps({"base": base})})
    return path


def read_vector(path: Path, heights: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
    """Read a task-vector file; tensors stored by rows become whole ones of the given heights."""
    tensors = {name: value.numpy() for name, value in load_file(path).items()}
    whole = {}
    for name, value in tensors.items():
        if name.endswith(".rows"):
            continue
        whole[name] = value
        if name + ".rows" in tensors:
            whole[name] = np.zeros(((heights or {})[name], *value.shape[1:]), np.float32)
            whole[name][tensors[name + ".rows"]] = value
    return whole


def sources_of(paths: Sequence[Path], weights: Sequence[float] | None = None) -> list[Source]:
    """Return task-vector files as sources with the first of `NAMES`; weights are uniform unless given."""
    chosen = [1 / len(paths)] * len(paths) if weights is None else weights
    return [Source(*source) for source in zip(NAMES, paths, chosen, strict=False)]


def merge_with_facts(
    sources: Sequence[Vector],
    method: str,
    weights: Sequence[float] | None = None,
    heights: Mapping[str, int] | None = None,
    dtype: torch.dtype = torch.float32,
    layout: Layout | None = None,
    **parameters: Any,
) -> tuple[dict[str, np.ndarray], MergeFacts]:
    """Merge task vectors through files; weights are uniform unless given."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [write_vector(Path(folder) / f"{i}.safetensors", v, dtype) for i, v in enumerate(sources)]
        out = Path(folder) / "merged.safetensors"
        facts = merge_files(sources_of(paths, weights), method, parameters, out, {"base": "base"}, layout=layout)
        return read_vector(out, heights), facts


def merge(
    sources: Sequence[Vector], method: str, weights: Sequence[float] | None = None, **more: Any
) -> dict[str, np.ndarray]:
    """Merge task vectors and return the merged one; see `merge_with_facts`."""
    return merge_with_facts(sources, method, weights, **more)[0]


def merge_one(
    rows: Sequence[Sequence[float]], method: str, weights: Sequence[float] | None = None, **more: Any
) -> list[float]:
    """Merge task vectors that are one tensor each."""
    return merge([{"a": row} for row in rows], method, weights, **more)["a"].tolist()


@contextlib.contextmanager
def piece_size(elements: int) -> Iterator[None]:
    """Let the engine read in pieces of another size, wherever the constant was imported."""
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("workflow_scripts.merging") and hasattr(module, "PIECE"):
                stack.enter_context(mock.patch.object(module, "PIECE", elements))
        yield
