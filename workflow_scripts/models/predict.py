"""The fast forward loop: batches of exactly one length, so that no padding is computed."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from workflow_scripts.models.number_formats import close_calls, number_format

EVALUATION_VERSION = 1  # raise it when scores may change although this code's text does not


def predict(
    model: PreTrainedModel, encoded: Sequence[Sequence[int]], batch_tokens: int, precision: str = "float32"
) -> np.ndarray:
    """Return the logits of tokenised sentences.

    Parameters
    ----------
    model : PreTrainedModel
        In evaluation mode.
    encoded : sequence of n sequences of int
        Token ids in the model's own vocabulary.
    batch_tokens : int
        Most tokens in one forward pass (one sentence may be longer).
    precision : {"float32", "medium", "bf16"}
        See `number_format`. In bf16, sentences whose two highest logits are close are done again in float32.

    Returns
    -------
    ndarray of float32, shape (n, labels)
    """
    with number_format(model, precision):
        logits = _forward(model, encoded, batch_tokens)
    if precision == "bf16":
        close = close_calls(logits)
        logits[close] = _forward(model, [encoded[i] for i in close], batch_tokens)
    return logits


def _forward(model: PreTrainedModel, encoded: Sequence[Sequence[int]], batch_tokens: int) -> np.ndarray:
    device = model.device
    logits = np.empty((len(encoded), model.config.num_labels), np.float32)
    with torch.inference_mode():
        for batch in one_length_batches(encoded, batch_tokens):
            ids = torch.tensor([encoded[i] for i in batch], device=device)
            logits[batch] = model(input_ids=ids).logits.float().cpu().numpy()
    return logits


def one_length_batches(encoded: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Yield positions of sentences of one length each, short ones first, in a stable order."""
    by_length: dict[int, list[int]] = {}
    for position, tokens in enumerate(encoded):
        by_length.setdefault(len(tokens), []).append(position)
    for length in sorted(by_length):
        size = max(1, batch_tokens // length)
        members = by_length[length]
        yield from (members[i : i + size] for i in range(0, len(members), size))
