"""Compact vocabularies: a job's model holds only the embedding rows that its texts use.

Cutting the embedding is exact: a forward pass gives the same bits, and training the same up to the summation order
of the gradient norm, as long as weight decay never touches the embedding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from workflow_scripts.core.errors import XlmergeError

SMALL_PAD = 16


@dataclass(frozen=True)
class Vocabulary:
    """The kept token ids.

    Attributes
    ----------
    ids : ndarray of int64, shape (V,)
        Original ids, ascending; row i of a compact embedding is row ``ids[i]`` of the full one.
    pad : int
        The padding token's compact id.
    """

    ids: np.ndarray
    pad: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, encoded: Iterable[Sequence[int]]) -> "Vocabulary":
        """Return the vocabulary of tokenised texts plus the tokenizer's special tokens."""
        used = {token for text in encoded for token in text}
        return cls.keeping(used, tokenizer.all_special_ids, tokenizer.pad_token_id)

    @classmethod
    def keeping(cls, used: Iterable[int], special: Iterable[int], pad: int) -> "Vocabulary":
        """Return the vocabulary of used token ids, special ones and the padding token among these."""
        kept = {*used, *special}
        if pad < SMALL_PAD:  # RoBERTa's kin count positions from the padding id: it must not move
            kept |= set(range(pad))
        ids = np.array(sorted(kept), np.int64)
        return cls(ids, int(np.searchsorted(ids, pad)))

    def encode(self, tokens: Sequence[int] | np.ndarray) -> list[int]:
        """Return compact ids.

        Raises
        ------
        KeyError
            If a token is not in the vocabulary.
        """
        positions = np.searchsorted(self.ids, tokens)
        if len(tokens) and not np.array_equal(self.ids[np.minimum(positions, len(self.ids) - 1)], tokens):
            raise KeyError("a token is not in the compact vocabulary")
        return positions.tolist()


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
