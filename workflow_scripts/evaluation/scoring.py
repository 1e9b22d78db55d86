"""Scoring models on locales: tokenise and cut the vocabulary once, then put weights in and predict."""

import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from transformers import AutoTokenizer

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of
from workflow_scripts.core.fingerprint import fingerprint
from workflow_scripts.data.examples import read_examples
from workflow_scripts.evaluation.cells import FLOAT32, Cell
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.models.checkpoints import TaskVector, set_task_vector, verify_base
from workflow_scripts.models.predict import predict
from workflow_scripts.models.tokens import Tokens, of_tokens


class Scorer:
    """θ₀ on a compact vocabulary, ready to score task vectors on some cells; everything that it loads is verified.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``: θ₀'s folder and its digest file.
    wanted : list of (Target, split)
    scoring : mapping
        ``evaluation`` settings, the number format decided, and the folder ``cache``: see `cells.cell_cache`.
    threads : int
    """

    def __init__(self, inputs: Mapping[str, Any], wanted: list[Cell], scoring: Mapping[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        self.base, self.wanted, settings = inputs["base"], wanted, scoring["evaluation"]
        self.batch_tokens, self.precision = settings["batch_tokens"], settings.get("precision", FLOAT32)
        digest = verify_base(self.base, inputs["base_digest"])
        tables = [read_examples(target.tables[split], target.digest_files[split]) for target, split in wanted]
        data = [target.digests[split] for target, split in wanted]
        texts = {digest: table["text"].tolist for digest, table in zip(data, tables, strict=True)}
        folder = Path(scoring["cache"]).parent / "tokens"
        tokens = TokenCache(folder, self.base, digest, settings["max_length"]).get(texts)
        compact = of_tokens(self.base, [tokens[digest] for digest in data])
        self.model, self.vocabulary, self.encoded = compact.model, compact.vocabulary, compact.encoded
        self.labels = [table["label"].to_numpy() for table in tables]

    def scores(self, task_vector: TaskVector) -> Iterator[tuple[Cell, Scores]]:
        """Yield the scores of θ₀ + τ on every wanted cell."""
        set_task_vector(self.model, self.base, self.vocabulary, task_vector)
        for cell, encoded, labels in zip(self.wanted, self.encoded, self.labels, strict=True):
            yield cell, Scores.of(predict(self.model, encoded, self.batch_tokens, self.precision), labels)


class TokenCache:
    """Tokenised example tables by content.

    Parameters
    ----------
    folder : path
        Files that cannot be read are made again.
    base : path
        θ₀'s folder, whose tokenizer is loaded only if a table is not in the cache.
    digest : str
        θ₀'s digest.
    max_length : int
    """

    def __init__(self, folder: str | Path, base: str | Path, digest: str, max_length: int) -> None:
        self.folder, self.base, self.digest, self.max_length = Path(folder), base, digest, max_length

    def get(self, texts: Mapping[str, Callable[[], Sequence[str]]]) -> dict[str, Tokens]:
        """Return the tokens of tables.

        Jobs that start together go through the tables in different orders, and so share the work.

        Parameters
        ----------
        texts : mapping
            A table's digest → what returns its texts.
        """
        order = list(texts)
        random.Random(os.getpid()).shuffle(order)
        return {data: self._find(data) or self._make(data, texts[data]()) for data in order}

    @cached_property
    def tokenizer(self) -> Any:
        """θ₀'s tokenizer."""
        return AutoTokenizer.from_pretrained(self.base)

    def _path(self, data: str) -> Path:
        made_of = {"base": self.digest, "data": data, "max_length": self.max_length}
        key = digest_of({**made_of, "code": fingerprint("models.tokens")})
        return self.folder / f"{key}.safetensors"

    def _make(self, data: str, texts: Sequence[str]) -> Tokens:
        tokens = Tokens.of(self.tokenizer, texts, self.max_length)
        note = {"special": tokens.special, "pad": tokens.pad, "digest": _digest(tokens)}
        with atomic_path(self._path(data)) as temporary:
            arrays = {"ids": tokens.ids, "lengths": tokens.lengths}
            save_file(arrays, temporary, metadata={"tokens": json.dumps(note)})
        return tokens

    def _find(self, data: str) -> Tokens | None:
        path = self._path(data)
        if not path.exists():
            return None
        try:
            with safe_open(path, "numpy") as file:
                note = json.loads(file.metadata()["tokens"])
                arrays = file.get_tensor("ids"), file.get_tensor("lengths")
            tokens = Tokens(*arrays, tuple(note["special"]), note["pad"])
            if _digest(tokens) == note["digest"]:
                return tokens
        except (SafetensorError, OSError, TypeError, KeyError, ValueError):
            pass
        print(f"xlmerge: dropping damaged tokens: {path}", file=sys.stderr)
        return None


def _digest(tokens: Tokens) -> str:
    total = xxhash.xxh3_128(f"{tokens.special} {tokens.pad} {len(tokens.ids)}".encode())
    total.update(np.ascontiguousarray(tokens.ids).tobytes())
    total.update(np.ascontiguousarray(tokens.lengths).tobytes())
    return total.hexdigest()
