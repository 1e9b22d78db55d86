"""θ₀ cut to the tokens of some texts, and the texts in its vocabulary: what a job that reads sentences starts with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedModel

from workflow_scripts.models.checkpoints import load_model
from workflow_scripts.models.tokens import Tokens, vocabulary_of
from workflow_scripts.models.vocabulary import Vocabulary


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
