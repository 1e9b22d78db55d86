"""Gram matrices of the inputs of a model's linear layers."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from workflow_scripts.merging.measuring import ModelText

BATCH = 64  # sentences


def gram(
    subject: "ModelText",
    *,
    examples: Annotated[int, Field(ge=1, description="Sentences, drawn without replacement.")] = 256,
) -> "dict[str, torch.Tensor]":
    """Return XᵀX / n of every linear layer's inputs X, shape (n, features): one row per token that the layer sees.

    Parameters
    ----------
    subject : ModelText
        A model and tokenised sentences; batches hold sentences of one length, so there is no padding to leave out.

    Returns
    -------
    dict of str to Tensor
        Name of the layer's weight → float32, shape (features, features).

    Notes
    -----
    Jin et al. 2022 (arXiv 2212.09849).
    """
    import torch

    grams = InputGrams(linear_layers(subject.model))
    with hooked({layer: partial(grams.add, name) for name, layer in grams.layers.items()}), torch.inference_mode():
        for _, ids in subject.batches(subject.sample(examples), BATCH):
            subject.model(input_ids=ids)
    return grams.means()


def linear_layers(model: "PreTrainedModel") -> "dict[str, torch.nn.Linear]":
    """Return a model's linear layers by the name of their weight."""
    import torch

    return {f"{n}.weight": m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}


class InputGrams:
    """XᵀX and the number of rows of X, the inputs of linear layers, added up while sentences pass.

    Attributes
    ----------
    layers : dict of str to Linear
        By the name of their weight.
    rows : dict of str to int
        How many tokens each layer has seen.
    """

    def __init__(self, layers: "dict[str, torch.nn.Linear]") -> None:
        self.layers = layers
        self.rows = dict.fromkeys(layers, 0)
        self._total: dict[str, torch.Tensor] = {}

    def add(self, name: str, module: Any, inputs: Any) -> None:
        """Add what a layer gets: a hook, once its name is given."""
        x = inputs[0].detach().reshape(-1, module.in_features).float()
        self._total[name] = x.T @ x if name not in self._total else self._total[name].addmm_(x.T, x)
        self.rows[name] += len(x)

    def means(self) -> "dict[str, torch.Tensor]":
        """Return XᵀX / n of each layer, float32, shape (features, features)."""
        return {name: value / self.rows[name] for name, value in self._total.items()}


@contextlib.contextmanager
def hooked(hooks: "Mapping[torch.nn.Module, Callable[..., None]]") -> Iterator[None]:
    """Call functions before modules run."""
    handles = [module.register_forward_pre_hook(hook) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
