"""The fast forward loop: batches of exactly one length, so that no padding is computed; faster number formats.

Layers that a model leaves as they are in θ₀ are computed once per text, not once per pass. A state is what a token
holds when it has passed them. States are put in the place of the embeddings, one row per token of each text, and the
layers above are called as if they were the whole encoder: their values are those of the whole, up to the rounding of
batches of another make-up, and in training without dropout below.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.checkpoints import TaskVector, embedding_name

CLOSE = 0.005  # of the spread of a sentence's logits
EVALUATION_VERSION = 1  # raise it when scores may change although this code's text does not
STACKED = ("bert", "roberta", "xlm-roberta", "camembert", "electra")  # embeddings, then `encoder.layer`, then a head
LAYER = re.compile(r"encoder\.layer\.(\d+)\.")
EMBEDDINGS = re.compile(r"(^|\.)embeddings\.")
States = list[np.ndarray]


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


class _Embeddings(torch.nn.Module):
    """States in the place of the embeddings; their rows are the token ids. The first row is padding."""

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__()
        self.word_embeddings = torch.nn.Embedding.from_pretrained(states, freeze=True)

    def forward(self, input_ids: torch.Tensor, **_: object) -> torch.Tensor:
        """Return the states of some tokens, (B, L, H)."""
        return self.word_embeddings(input_ids)


class _Reached(Exception):
    """Carries what the first layer above the frozen ones is given."""

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__()
        self.states = states


def check_freezable(model: PreTrainedModel, layers: int) -> None:
    """Raise an `XlmergeError` if so many lower layers of an encoder cannot be frozen."""
    kind, count = model.config.model_type, getattr(model.config, "num_hidden_layers", 0)
    if kind not in STACKED:
        raise XlmergeError(
            f"`finetune.freeze_layers` is {layers}, but the lower layers of a {kind!r} encoder cannot be computed "
            f"apart; those of {', '.join(STACKED)} can. Set `freeze_layers: 0`"
        )
    if layers >= count:
        raise XlmergeError(
            f"`finetune.freeze_layers` is {layers}, but the encoder has {count} layers: leave some to train"
        )


def freeze(model: PreTrainedModel, layers: int) -> None:
    """Take an encoder's embeddings and lowest layers out of the training."""
    check_freezable(model, layers)
    for part in (model.base_model.embeddings, *model.base_model.encoder.layer[:layers]):
        part.requires_grad_(False)


def frozen_layers(task_vector: TaskVector, model: PreTrainedModel) -> int:
    """Return how many lowest layers a task vector leaves alone; none if it changes an embedding."""
    names = [*task_vector.dense, *task_vector.rows]
    if model.config.model_type not in STACKED or any(EMBEDDINGS.search(name) for name in names):
        return 0
    changed = [int(match[1]) for name in names if (match := LAYER.search(name))]
    return min(changed, default=0)


def states_of(model: PreTrainedModel, layers: int, encoded: Sequence[Sequence[int]], batch_tokens: int) -> States:
    """Return the states of texts behind the lowest layers.

    Parameters
    ----------
    model : PreTrainedModel
        In evaluation mode, its `layers` lowest layers as they are wanted.
    layers : int
        At least 1, and less than the encoder has.
    encoded : sequence of n sequences of int
        Token ids in the model's vocabulary.
    batch_tokens : int
        Most tokens in one forward pass (one sentence may be longer).

    Returns
    -------
    list of n arrays of float32, shape (tokens, H)
    """
    states: States = [np.empty(0)] * len(encoded)
    hook = model.base_model.encoder.layer[layers].register_forward_pre_hook(_stop, with_kwargs=True)
    try:
        with torch.inference_mode():
            for batch in one_length_batches(encoded, batch_tokens):
                ids = torch.tensor([encoded[i] for i in batch], device=model.device)
                for i, values in zip(batch, _reached(model, ids).float().cpu().numpy(), strict=True):
                    states[i] = values
    finally:
        hook.remove()
    return states


def _stop(_: torch.nn.Module, positional: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]) -> None:
    raise _Reached(positional[0] if positional else named["hidden_states"])


def _reached(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    try:
        model.base_model(input_ids=ids)
    except _Reached as reached:
        return reached.states
    raise AssertionError("the layer above the frozen ones was not called")


@contextlib.contextmanager
def on_states(
    model: PreTrainedModel, layers: int, groups: Iterable[States]
) -> Iterator[tuple[list[list[list[int]]], int]]:
    """Let a model begin above its lowest layers, with states for embeddings.

    Parameters
    ----------
    model : PreTrainedModel
        Whole again afterwards; the layers above are the same ones throughout.
    layers : int
    groups : iterable of list of arrays
        Group of texts → text → its states; see `states_of`.

    Yields
    ------
    encoded : list of list of list of int
        Group of texts → text → ids of its tokens' states.
    pad : int
        The id of padding.
    """
    groups = list(groups)
    table = np.concatenate([np.zeros((1, model.config.hidden_size), np.float32), *(s for g in groups for s in g)])
    encoder, embeddings, whole = model.base_model.encoder, model.base_model.embeddings, model.base_model.encoder.layer
    ignored = model._keys_to_ignore_on_save
    try:
        model.base_model.embeddings = _Embeddings(torch.from_numpy(table)).to(model.device)
        encoder.layer = whole[layers:]
        model._keys_to_ignore_on_save = {*(ignored or ()), embedding_name(model)}
        yield _numbered(groups), 0
    finally:
        model.base_model.embeddings, encoder.layer, model._keys_to_ignore_on_save = embeddings, whole, ignored


def _numbered(groups: Sequence[States]) -> list[list[list[int]]]:
    numbers = iter(range(1, 1 + sum(len(states) for group in groups for states in group)))
    return [[[next(numbers) for _ in states] for states in group] for group in groups]
