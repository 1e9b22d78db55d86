"""Checkpoints on disk: where a model is, and its safetensors files, read like one file or like a task vector."""

import json
import os
import re
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from workflow_scripts.checkpoints.architecture import Architecture
from workflow_scripts.core.downloads import drop_damaged
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.streaming import NUMPY, Stored, TensorFile

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = ("F32", "F16", "BF16", "F64")
REMEDY = "load it with transformers once and write it with `save_pretrained(folder)`, which gives safetensors"
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
)
WANTED = ["config.json", "model*.safetensors", "model.safetensors.index.json", *TOKENIZER]


def weight_files(folder: Path) -> list[Path]:
    """Return a checkpoint's safetensors files.

    Raises
    ------
    XlmergeError
        If there are none, or one that the index names is missing.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise XlmergeError(_no_weights(folder))
    try:
        shards = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise XlmergeError(f"{folder / INDEX} cannot be read: {error!r}") from None
    missing = sorted(s for s in shards if not (folder / s).is_file())
    if missing:
        raise XlmergeError(f"{folder} lacks {', '.join(missing)} of its {len(shards)} shards: fetch it again")
    return [folder / s for s in sorted(shards)]


def _no_weights(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return f"{folder} holds an adapter, not a model: merge it into its model first (peft: `merge_and_unload()`)"
    others = sorted(p.name for pattern in ("*.bin", "*.h5", "*.msgpack", "*.pt") for p in folder.glob(pattern))
    if others:
        return f"{folder} has weights only as {', '.join(others)}, which is not read: {REMEDY}"
    return f"{folder} has no {WEIGHTS} (nor {INDEX})"


class Checkpoint:
    """A Hugging Face folder's weights under the names of the sequence classifier.

    Parameters
    ----------
    folder : path
    architecture : Architecture
        Of the sequence classifier; a bare encoder's names get its prefix, what it does not have is left out.

    Attributes
    ----------
    stored : dict of str to Stored
        Floating-point tensors.
    buffers : dict of str to Stored
        The others that the model has.
    unused : list of str
        Stored names that the model does not have.
    """

    def __init__(self, folder: Path, architecture: Architecture) -> None:
        self.folder = folder
        self._files: list[TensorFile] = []
        self._held: dict[str, np.ndarray] = {}
        self._places: dict[str, tuple[TensorFile, str]] = {}
        self.stored: dict[str, Stored] = {}
        self.buffers: dict[str, Stored] = {}
        for path in weight_files(folder):
            self._files.append(TensorFile(path))
        holders = {name: file for file in self._files for name in file.stored}
        names, self.unused = architecture.names(holders)
        for name, original in names.items():
            self._add(name, holders[original], original, name in architecture.buffers)

    def _add(self, name: str, file: TensorFile, original: str, buffer: bool) -> None:
        stored = file.stored[original]
        if not buffer and stored.dtype not in FLOATS:
            raise XlmergeError(
                f"{self.folder}: tensor {original} is stored as {stored.dtype}; floats can be merged only"
            )
        self._places[name] = file, original
        (self.buffers if buffer else self.stored)[name] = stored

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(f.bytes for f in self._files)

    def read(self, name: str, start: int, out: np.ndarray) -> None:
        """Fill `out` (float32, flat) with the elements of a tensor from flat position `start` on."""
        if name in self._held:
            out[:] = self._held[name][start : start + len(out)]
        else:
            file, original = self._places[name]
            file.read(original, start, out)

    def read_buffer(self, name: str) -> np.ndarray:
        """Return a tensor that is not merged, whole."""
        file, original = self._places[name]
        stored = self.buffers[name]
        raw = file.read_bytes(original)
        return raw.view(NUMPY[stored.dtype]) if stored.dtype in NUMPY else raw

    def permute(self, name: str, order: list[int]) -> None:
        """Read a tensor with its rows in another order from now on; it is held in memory."""
        shape = self.stored[name].shape
        values = np.empty(prod(shape), np.float32)
        self.read(name, 0, values)
        self._held[name] = np.ascontiguousarray(values.reshape(shape)[order]).reshape(-1)

    def read_rows(self, name: str) -> np.ndarray:
        """Raise: a checkpoint stores whole tensors."""
        raise XlmergeError(f"{self.folder}: tensor {name} is not stored by rows")

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


class CheckpointView:
    """Something that is read from a checkpoint's files."""

    checkpoint: Checkpoint

    def read_rows(self, name: str) -> np.ndarray:
        """Raise: a checkpoint stores whole tensors."""
        return self.checkpoint.read_rows(name)

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return self.checkpoint.bytes

    def close(self) -> None:
        """Close the files."""
        self.checkpoint.close()


class BaseWeights(CheckpointView):
    """θ₀ under the names of the sequence classifier; what it lacks reads as 0.

    The last piece is kept: it serves all sources, and the output, one after the other.

    Parameters
    ----------
    checkpoint : Checkpoint
    shapes : dict of str to tuple of int
        The model's tensors.
    absent : frozenset of str
        Tensors that θ₀ does not have, or not in this shape.
    """

    def __init__(self, checkpoint: Checkpoint, shapes: dict[str, tuple[int, ...]], absent: frozenset[str]) -> None:
        self.checkpoint, self.absent = checkpoint, absent
        self.stored = {
            name: Stored("F32", shape, 0) if name in absent else checkpoint.stored[name]
            for name, shape in shapes.items()
        }
        self._buffer = np.empty(0, np.float32)
        self._at: tuple[str, int, int] | None = None

    def piece(self, name: str, start: int, count: int) -> np.ndarray:
        """Return a stretch (float32, read-only until the next call)."""
        if self._at != (name, start, count):
            self._at = None
            if len(self._buffer) < count:
                self._buffer = np.empty(count, np.float32)
            self._fill(name, start, self._buffer[:count])
            self._at = name, start, count
        return self._buffer[:count]

    def _fill(self, name: str, start: int, out: np.ndarray) -> None:
        if name in self.absent:
            out[:] = 0
            return
        self.checkpoint.read(name, start, out)
        if not np.isfinite(np.dot(out, out)) and not np.isfinite(out).all():
            raise XlmergeError(f"tensor {name} is not finite in the base {self.checkpoint.folder}")

    def read(self, name: str, start: int, out: np.ndarray) -> None:
        """Fill `out` (float32, flat) with the elements of a tensor from flat position `start` on."""
        out[:] = self.piece(name, start, len(out))


class TunedWeights(CheckpointView):
    """A fine-tuned checkpoint, read as its task vector θ − θ₀."""

    def __init__(self, checkpoint: Checkpoint, base: BaseWeights) -> None:
        self.checkpoint, self._base = checkpoint, base
        self.stored = checkpoint.stored

    def read(self, name: str, start: int, out: np.ndarray) -> None:
        """Fill `out` (float32, flat) with the elements of a tensor's difference from flat position `start` on."""
        self.checkpoint.read(name, start, out)
        np.subtract(out, self._base.piece(name, start, len(out)), out=out)


def locate(source: str | Path) -> Path:
    """Return the folder or file of a model, fetched from the hub if there is no local one.

    Raises
    ------
    XlmergeError
        If it is neither here nor on the hub, or the hub cannot be reached.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path
    if not HUB_ID.fullmatch(str(source)):
        raise XlmergeError(f"{source} does not exist")
    return Path(_fetch(str(source)))


def locate_base(base: str | Path) -> Path:
    """Return the folder of θ₀: as `locate`, or that of a built-in encoder."""
    from workflow_scripts.models.base import encoder_folder

    return locate(base if Path(base).exists() else encoder_folder(str(base)))


def _fetch(name: str) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    from workflow_scripts.models.base import hub_has

    def fetch() -> str:
        return snapshot_download(name, allow_patterns=WANTED, local_files_only=not asks_hub)

    asks_hub = hub_has(name)
    try:
        snapshot = fetch()
        return fetch() if drop_damaged(snapshot) else snapshot
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise XlmergeError(f"{name} could not be fetched from the hub ({first})") from None


def task_vector_file(path: Path) -> Path | None:
    """Return the task-vector file that a path means, or None for a checkpoint.

    Raises
    ------
    XlmergeError
        If a file is not a task vector.
    """
    if path.is_dir():
        file = path / WEIGHTS
        inside = not (path / "config.json").exists() and file.is_file()
        return file if inside and _is_task_vector(file) else None
    if not _is_task_vector(path):
        raise XlmergeError(f"{path} is no task vector (its metadata do not say so): for a checkpoint give its folder")
    return path


def _is_task_vector(path: Path) -> bool:
    file = TensorFile(path)
    file.close()
    return "xlmerge" in file.metadata


def short_names(sources: Sequence[str | Path]) -> list[str]:
    """Return the shortest ends of the sources' paths that tell them apart.

    Examples
    --------
    >>> short_names(["models/de-DE/seed0/model.safetensors", "models/fr-FR/seed0/model.safetensors"])
    ['de-DE/seed0', 'fr-FR/seed0']
    """
    parts = [_parts(s) for s in sources]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise XlmergeError("a source is given twice; give its weight instead, or distinct `--names`")


def _parts(source: str | Path) -> list[str]:
    *parents, last = [p for p in os.path.normpath(str(source)).split(os.sep) if p]
    return parents if last == WEIGHTS and parents else [*parents, last.removesuffix(".safetensors")]
