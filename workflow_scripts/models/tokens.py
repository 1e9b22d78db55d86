"""Tokenised texts, and their cache: what one job of a run has tokenised, no other does again."""

import json
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of
from workflow_scripts.core.fingerprint import fingerprint
from workflow_scripts.models.vocabulary import Vocabulary, tokenise


@dataclass(frozen=True)
class Tokens:
    """The original token ids of some texts, special tokens included.

    Attributes
    ----------
    ids : ndarray of int32, shape (sum of lengths,)
        One text after the other.
    lengths : ndarray of int32, shape (n,)
    special : tuple of int
        The tokenizer's special tokens.
    pad : int
        The padding token among them.
    """

    ids: np.ndarray
    lengths: np.ndarray
    special: tuple[int, ...]
    pad: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> "Tokens":
        """Tokenise texts; see `vocabulary.tokenise`."""
        encoded = tokenise(tokenizer, texts, max_length)
        flat = np.fromiter((token for text in encoded for token in text), np.int32)
        lengths = np.array([len(text) for text in encoded], np.int32)
        return cls(flat, lengths, tuple(sorted(set(tokenizer.all_special_ids))), tokenizer.pad_token_id)

    def encoded(self, vocabulary: Vocabulary) -> list[list[int]]:
        """Return each text's ids in a compact vocabulary."""
        flat, ends = vocabulary.encode(self.ids), np.cumsum(self.lengths).tolist()
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def vocabulary_of(tokens: Sequence[Tokens], keep: Sequence[int] = ()) -> Vocabulary:
    """Return the vocabulary of some texts; at least one group, all of one tokenizer. `keep`: further tokens."""
    used = np.unique(np.concatenate([np.asarray(keep, np.int32), *(group.ids for group in tokens)]))
    return Vocabulary.keeping(used, tokens[0].special, tokens[0].pad)


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
