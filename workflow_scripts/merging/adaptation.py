"""Test-time adaptation without test data: merge coefficients learned on the target's unlabelled training text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch.func import functional_call
from transformers import PreTrainedModel

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import read_examples
from workflow_scripts.models.checkpoints import State, TaskVector, Vocabulary, load_task_vector
from workflow_scripts.models.tokens import compact_model


@dataclass
class Adapted:
    """What adaptation found.

    Attributes
    ----------
    coefficients : dict of str to list of float
        Block → λ per source.
    entropy : list of float
        Mean prediction entropy (nats) of each step's batch, before the step.
    """

    coefficients: dict[str, list[float]]
    entropy: list[float]


class Merged:
    """θ₀ + Σ λᵢτᵢ as a differentiable function of λ.

    Parameters
    ----------
    model : PreTrainedModel
        θ₀ on a compact vocabulary.
    vocabulary : Vocabulary
    sources : list of TaskVector
    block_of : callable
        Tensor name → the block of the model that shares a coefficient.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        vocabulary: Vocabulary,
        sources: Sequence[TaskVector],
        block_of: Callable[[str], str],
    ) -> None:
        self.model = model.requires_grad_(False)
        self._base: State = dict(model.named_parameters())
        self._tau = {name: self._stack(name, sources, vocabulary) for name in self._base if _changed(name, sources)}
        self._blocks = {name: block_of(name) for name in self._tau}

    @property
    def blocks(self) -> list[str]:
        """The blocks that have coefficients."""
        return sorted(set(self._blocks.values()))

    def _stack(self, name: str, sources: Sequence[TaskVector], vocabulary: Vocabulary) -> torch.Tensor:
        """Return all sources' τ of one parameter, shape (K, …), float32."""
        weight = self._base[name]
        stacked = torch.zeros(len(sources), *weight.shape, dtype=weight.dtype)
        ids = torch.from_numpy(vocabulary.ids)
        for tau, source in zip(stacked, sources, strict=True):
            if name in source.dense:
                tau.add_(source.dense[name])
            elif name in source.rows:
                rows, values = source.rows[name]
                keep = torch.isin(rows, ids)
                tau[torch.searchsorted(ids, rows[keep])] = values[keep].to(weight.dtype)
        return stacked.to(weight.device)

    def entropy(self, coefficients: Mapping[str, torch.Tensor], ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean entropy (nats) of the predictions for a padded batch."""
        weights = {
            name: self._base[name] + torch.tensordot(coefficients[self._blocks[name]], tau, 1)
            for name, tau in self._tau.items()
        }
        logits = functional_call(self.model, weights, kwargs={"input_ids": ids, "attention_mask": mask}).logits
        log_p = torch.log_softmax(logits, -1)
        return -(log_p.exp() * log_p).sum(-1).mean()


def _changed(name: str, sources: Sequence[TaskVector]) -> bool:
    return any(name in s.dense or name in s.rows for s in sources)


def adapt_to_target(
    inputs: Mapping[str, Any],
    weights: Sequence[float],
    parameters: Mapping[str, Any],
    block_of: Callable[[str], str],
    base: str,
    max_length: int,
    seed: int,
) -> dict[str, Any]:
    """Learn the coefficients of a merge of the workflow.

    Parameters
    ----------
    inputs : mapping
        ``models``, one path per source; ``text`` and ``text_digest``: one path each, the target's training
        table; ``base``: θ₀'s folder.
    weights : sequence of float
        Where the coefficients start.
    parameters : mapping
        The method's hyper-parameters.
    block_of : callable
        Tensor name → the block of the model that shares a coefficient.
    base : str
        θ₀'s digest.
    max_length, seed : int

    Returns
    -------
    dict
        ``coefficients``: block → λ per source; ``entropy``: mean of the first and of the last ten steps (nats).
    """
    texts = read_examples(inputs["text"][0], inputs["text_digest"][0])["text"].tolist()
    sources = [load_task_vector(path, base) for path in inputs["models"]]
    adapted = adapt(inputs["base"], sources, weights, texts, parameters, block_of, max_length, seed)
    ends = {"first": fmean(adapted.entropy[:10]), "last": fmean(adapted.entropy[-10:])}
    return {"coefficients": adapted.coefficients, "entropy": ends}


def adapt(
    base: str | Path,
    sources: Sequence[TaskVector],
    weights: Sequence[float],
    texts: Sequence[str],
    parameters: Mapping[str, Any],
    block_of: Callable[[str], str],
    max_length: int,
    seed: int,
) -> Adapted:
    """Learn the coefficients of a merge; in each block their sum stays what it was at the start.

    Parameters
    ----------
    base : path
        θ₀'s folder.
    sources : list of TaskVector
    weights : sequence of float
        Where λ starts, in the order of `sources`.
    texts : sequence of str
        The target's sentences.
    parameters : mapping
        The method's hyper-parameters.
    block_of : callable
        Tensor name → the block of the model that shares a coefficient.
    max_length : int
        Longer sentences are cut.
    seed : int
        Of the batches.

    Raises
    ------
    XlmergeError
        If the entropy is not finite.
    """
    compact = compact_model(base, [texts], max_length)
    model, (encoded,) = compact.model, compact.encoded
    merged = Merged(model, compact.vocabulary, sources, block_of)
    start = torch.tensor(weights, dtype=torch.float32, device=model.device)
    free = {block: start.clone().requires_grad_() for block in merged.blocks}
    optimiser = torch.optim.Adam(list(free.values()), lr=parameters["learning_rate"])
    history = []
    for batch in _batches(len(encoded), parameters["steps"], parameters["batch_size"], seed):
        ids, mask = (t.to(model.device) for t in _padded([encoded[i] for i in batch], compact.vocabulary.pad))
        loss = merged.entropy({block: _held(value, start) for block, value in free.items()}, ids, mask)
        if not torch.isfinite(loss):
            raise XlmergeError("adamerging: the entropy is not finite; lower `learning_rate`")
        history.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Adapted({block: _held(value.detach(), start).tolist() for block, value in free.items()}, history)


def _held(values: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Return the nearest coefficients whose sum is that of the start."""
    return values - (values - start).mean()


def _batches(count: int, steps: int, size: int, seed: int) -> list[list[int]]:
    """Return positions per step: passes over all sentences in an order of their own."""
    generator = torch.Generator().manual_seed(derive_seed("adaptation", seed))
    order: list[int] = []
    while len(order) < steps * size:
        order += torch.randperm(count, generator=generator).tolist()
    return [order[i * size : (i + 1) * size] for i in range(steps)]


def _padded(batch: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, batch))
    ids = torch.tensor([tokens + [pad] * (width - len(tokens)) for tokens in batch])
    mask = torch.tensor([[1] * len(tokens) + [0] * (width - len(tokens)) for tokens in batch])
    return ids, mask
