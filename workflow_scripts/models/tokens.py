"""Tokenised texts, and θ₀ cut to their tokens: what a job that reads sentences starts with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.checkpoints import Vocabulary, load_model


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
        """Tokenise texts; see `tokenise`."""
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


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Return the original token ids of each text, special tokens included, cut to `max_length`.

    Raises
    ------
    XlmergeError
        If the encoder has fewer positions than `max_length`.
    """
    if max_length > tokenizer.model_max_length:
        raise XlmergeError(
            f"`max_length` is {max_length}, but the encoder takes at most {tokenizer.model_max_length} tokens: "
            "lower `finetune.max_length` and `evaluation.max_length`"
        )
    if not len(texts):
        return []
    return tokenizer(list(texts), truncation=True, max_length=max_length, padding=False)["input_ids"]


@dataclass(frozen=True)
class CompactModel:
    """A model and texts.

    Attributes
    ----------
    model : PreTrainedModel
        θ₀ in evaluation mode, on the GPU if there is one.
    vocabulary : Vocabulary
        Of all the texts.
    encoded : list of list of list of int
        Group of texts → text → token ids in the model's vocabulary.
    """

    model: PreTrainedModel
    vocabulary: Vocabulary
    encoded: list[list[list[int]]]


def compact_model(
    base: str | Path, groups: Iterable[Sequence[str]], max_length: int, keep: Sequence[int] = ()
) -> CompactModel:
    """Load θ₀ for groups of texts; longer texts are cut to `max_length` tokens. `keep`: further tokens to hold."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    return of_tokens(base, [Tokens.of(tokenizer, texts, max_length) for texts in groups], keep)


def of_tokens(base: str | Path, groups: Sequence[Tokens], keep: Sequence[int] = ()) -> CompactModel:
    """Load θ₀ for groups of tokenised texts; see `compact_model`."""
    vocabulary = vocabulary_of(groups, keep)
    model = load_model(base, vocabulary).to("cuda" if torch.cuda.is_available() else "cpu")
    return CompactModel(model, vocabulary, [group.encoded(vocabulary) for group in groups])
