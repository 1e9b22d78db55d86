"""Where a model is: a local folder or file, or a hub id that is fetched."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.checkpoints.files import WEIGHTS
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.streaming import TensorFile

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
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return snapshot_download(name, allow_patterns=WANTED)
    except RepositoryNotFoundError:
        raise XlmergeError(
            f"{name} is neither a local folder or file nor a model on the hub that you may read"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise XlmergeError(
            f"{name} is no local folder or file, and it could not be fetched from the hub ({first}). Without a "
            "network, fetch it elsewhere (`hf download`) and give the folder."
        ) from None


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
