"""The fast forward loop: batches of exactly one length, so that no padding is computed; faster number formats."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

CLOSE = 0.005  # of the spread of a sentence's logits
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


@contextlib.contextmanager
def number_format(model: PreTrainedModel, mode: str) -> Iterator[None]:
    """Let a model compute in a number format.

    Parameters
    ----------
    model : PreTrainedModel
        In float32; so are its weights afterwards.
    mode : {"float32", "medium", "bf16"}
        ``medium``: torch's float32 matrix products by its faster algorithm, where the hardware has one. ``bf16``: the
        linear layers of the encoder in bfloat16; what lies between them, and the head, in float32.
    """
    if mode == "medium":
        with _medium():
            yield
    elif mode == "bf16":
        with _bfloat16_layers(model):
            yield
    else:
        yield


def close_calls(logits: np.ndarray) -> np.ndarray:
    """Return the positions of sentences whose two highest logits are so close that rounding may have swapped them.

    Parameters
    ----------
    logits : ndarray of float32, shape (n, labels)
    """
    if not len(logits):
        return np.empty(0, np.int64)
    second, first = np.partition(logits, -2, axis=1)[:, -2:].T
    return np.flatnonzero(first - second <= CLOSE * (first - logits.min(1)))


@contextlib.contextmanager
def _medium() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def _bfloat16_layers(model: PreTrainedModel) -> Iterator[None]:
    layers = [
        module
        for name, module in model.base_model.named_modules()
        if isinstance(module, torch.nn.Linear) and "pooler" not in name.split(".")
    ]
    parameters = [p for layer in layers for p in layer.parameters(recurse=False)]
    before = [p.data for p in parameters]
    hooks = [layer.register_forward_pre_hook(_to_bfloat16) for layer in layers]
    hooks += [layer.register_forward_hook(_to_float32) for layer in layers]
    try:
        for parameter in parameters:
            parameter.data = parameter.data.bfloat16()
        yield
    finally:
        for parameter, data in zip(reversed(parameters), reversed(before), strict=True):  # some may be shared
            parameter.data = data
        for hook in hooks:
            hook.remove()


def _to_bfloat16(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.bfloat16() for tensor in inputs)


def _to_float32(_: torch.nn.Module, __: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    return output.float()
