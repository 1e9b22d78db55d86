"""Trained models, and what was measured on them, by content: nothing is trained or measured twice."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import link_or_copy, remove
from workflow_scripts.core.costs import Cost
from workflow_scripts.core.digests import digest_of, read_digest, verify_file
from workflow_scripts.core.errors import XlmergeError

COST = "cost.json"  # what the training took; not an output
FILES = {"model": "model.safetensors", "digest": "model.digest", "training": "training.json"}
MEASUREMENT_FILES = {"values": "values.safetensors", "digest": "values.digest"}


class ModelCache:
    """The place of one training (or measurement) in the cache.

    Parameters
    ----------
    root : path
    made_of : mapping
        Everything that shapes the result.
    kind : str
        Folder in the cache.
    files : mapping
        Output → file name; first the file that is verified, then its digest.
    """

    def __init__(
        self, root: str | Path, made_of: Mapping[str, Any], kind: str = "models", files: Mapping[str, str] = FILES
    ) -> None:
        self.key, self.files = digest_of(made_of), files
        self.folder = Path(root) / kind / self.key
        self.scratch = Path(root) / "training" / self.key
        self.lock = Path(root) / "locks" / f"{self.key}.lock"

    def restore(self, outputs: Mapping[str, str]) -> bool:
        """Put the cached files at `outputs`; return False if there is no undamaged entry."""
        if not self.folder.is_dir():
            return False
        content, digest = (self.folder / file for file in list(self.files.values())[:2])
        try:
            verify_file(content, digest)
        except (XlmergeError, OSError, ValueError) as error:
            print(f"xlmerge: dropping a damaged entry of the cache: {error}", file=sys.stderr)
            remove(self.folder)
            return False
        for name, file in self.files.items():
            link_or_copy(self.folder / file, outputs[name])
        return True

    def making_cost(self) -> Cost:
        """Return what the training took; empty for an entry that does not say."""
        path = self.folder / COST
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def history(self) -> dict[str, Any]:
        """Return what the training's file says of it."""
        return dict(json.loads((self.folder / FILES["training"]).read_text(encoding="utf-8")))

    def digest(self) -> str | None:
        """Return the digest of the entry's model, or None without a training; damage is not looked for."""
        path = self.folder / FILES["digest"]
        return read_digest(path) if path.exists() else None


def training_cache(settings: Mapping[str, Any], data: Mapping[str, str]) -> ModelCache:
    """Return the cache's place of a training.

    Parameters
    ----------
    settings : mapping
        ``cache``, and ``finetune``, ``locale``, ``seed``, ``code``.
    data : mapping
        Digests of ``base``, ``train`` and ``validation``.
    """
    return ModelCache(settings["cache"], {**data, **{k: settings[k] for k in ("finetune", "locale", "seed", "code")}})
