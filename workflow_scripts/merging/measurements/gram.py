"""Gram matrices of the inputs of a model's linear layers."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    import torch

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

    layers = {f"{n}.weight": m for n, m in subject.model.named_modules() if isinstance(m, torch.nn.Linear)}
    total: dict[str, Any] = {}
    rows = dict.fromkeys(layers, 0)

    def hook(name: str) -> Any:
        def add(module: Any, inputs: Any) -> None:
            x = inputs[0].detach().reshape(-1, module.in_features).float()
            total[name] = x.T @ x if name not in total else total[name].addmm_(x.T, x)
            rows[name] += len(x)

        return add

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    try:
        with torch.inference_mode():
            for _, ids in subject.batches(subject.sample(examples), BATCH):
                subject.model(input_ids=ids)
    finally:
        for handle in handles:
            handle.remove()
    return {name: value / rows[name] for name, value in total.items()}
