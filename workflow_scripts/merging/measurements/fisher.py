"""Diagonal Fisher information of a model, from per-example gradients."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    import torch

    from workflow_scripts.merging.measuring import ModelText

GRADIENT_BYTES = 1 << 30  # of the per-example gradients that are in memory at once


def fisher(
    subject: "ModelText",
    *,
    examples: Annotated[int, Field(ge=1, description="Sentences, drawn without replacement.")] = 256,
    empirical: Annotated[
        bool, Field(description="Gradient at the gold label, not at one drawn from the model.")
    ] = False,
) -> "dict[str, torch.Tensor]":
    """Return the mean over examples of the squared per-example gradient of log p(y).

    Parameters
    ----------
    subject : ModelText
        A model and tokenised sentences.

    Returns
    -------
    dict of str to Tensor
        Parameter → float32 of the parameter's shape, for the tensors that training changed.

    Notes
    -----
    Matena and Raffel 2021 (arXiv 2111.09832). Squaring the gradient of a batch's mean is not the same: it cancels
    what examples disagree on. Gradients of one example each come from `torch.func`.
    """
    import torch
    from torch.func import functional_call, grad, vmap

    subject.model.set_attn_implementation("eager")  # the fused kernels have no batching rule
    chosen = subject.sample(examples)
    labels = subject.gold(chosen) if empirical else _drawn(subject, chosen)
    trained = subject.trained_parameters()
    fixed = {n: p.detach() for n, p in subject.model.state_dict().items() if n not in trained}

    def log_likelihood(weights: Any, ids: Any, label: Any) -> Any:
        logits = functional_call(subject.model, {**fixed, **weights}, kwargs={"input_ids": ids[None]}).logits
        return -torch.nn.functional.cross_entropy(logits.float(), label[None])

    gradients = vmap(grad(log_likelihood), in_dims=(None, 0, 0))
    total = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in trained.items()}
    step = max(1, GRADIENT_BYTES // (4 * sum(w.numel() for w in trained.values())))
    for ids, wanted in _batches(subject, chosen, labels, step):
        for name, gradient in gradients(trained, ids, wanted).items():
            total[name] += gradient.float().square_().sum(0)
    return {name: value / len(chosen) for name, value in total.items()}


def _drawn(subject: "ModelText", chosen: list[int]) -> "torch.Tensor":
    """Return one label per sentence, drawn from what the model predicts."""
    import torch

    logits = torch.from_numpy(subject.logits(chosen))
    return torch.multinomial(torch.softmax(logits.double(), -1), 1, generator=subject.generator("labels"))[:, 0]


def _batches(
    subject: "ModelText", chosen: list[int], labels: "torch.Tensor", step: int
) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    for positions, ids in subject.batches(chosen, step):
        yield ids, labels[positions].to(ids.device)
