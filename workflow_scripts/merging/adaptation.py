"""Merge coefficients learned on the target's unlabelled training text: adaptation without test data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch.func import functional_call
from transformers import PreTrainedModel

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import read_examples
from workflow_scripts.merging.coefficients import Granularity, blocks_of_model
from workflow_scripts.models.checkpoints import State, TaskVector, Vocabulary, load_task_vector
from workflow_scripts.models.tokens import compact_model

JUDGED = 64  # sentences at once
JUDGE_EVERY, HELD_OUT = 10, 256  # steps, sentences


@dataclass
class Learned:
    """What was learned.

    Attributes
    ----------
    coefficients : dict of str to list of float
        Block → λ per source.
    history : list of float
        `lower_entropy`: mean prediction entropy (nats) of each step's batch, before the step. `follow_sources`:
        divergence (nats) from the sources' ensemble on held-out sentences, at the start and at each judgement.
    """

    coefficients: dict[str, list[float]]
    history: list[float]


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

    def log_probabilities(
        self, coefficients: Mapping[str, torch.Tensor], ids: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the predictions for a padded batch, shape (b, labels)."""
        weights = {
            name: self._base[name] + torch.tensordot(coefficients[self._blocks[name]], tau, 1)
            for name, tau in self._tau.items()
        }
        logits = functional_call(self.model, weights, kwargs={"input_ids": ids, "attention_mask": mask}).logits
        return torch.log_softmax(logits, -1)

    def entropy(self, coefficients: Mapping[str, torch.Tensor], ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean entropy (nats) of the predictions for a padded batch."""
        log_p = self.log_probabilities(coefficients, ids, mask)
        return -(log_p.exp() * log_p).sum(-1).mean()


def _changed(name: str, sources: Sequence[TaskVector]) -> bool:
    return any(name in s.dense or name in s.rows for s in sources)


class Subject:
    """Merges of some sources, and sentences of the target.

    Parameters
    ----------
    base : path
        θ₀'s folder.
    sources : list of TaskVector
    texts : sequence of str
        The target's sentences.
    block_of : callable
        Tensor name → the block of the model that shares a coefficient.
    max_length : int
        Longer sentences are cut.
    """

    def __init__(
        self,
        base: str | Path,
        sources: Sequence[TaskVector],
        texts: Sequence[str],
        block_of: Callable[[str], str],
        max_length: int,
    ) -> None:
        compact = compact_model(base, [texts], max_length)
        (self.encoded,), self._pad, self.count = compact.encoded, compact.vocabulary.pad, len(sources)
        self.merged = Merged(compact.model, compact.vocabulary, sources, block_of)

    def batch(self, chosen: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids and mask of some sentences, padded."""
        ids, mask = _padded([self.encoded[i] for i in chosen], self._pad)
        return ids.to(self.merged.model.device), mask.to(self.merged.model.device)

    def everywhere(self, values: Sequence[float]) -> dict[str, torch.Tensor]:
        """Return the same coefficients for all blocks."""
        start = torch.tensor(values, dtype=torch.float32, device=self.merged.model.device)
        return {block: start.clone() for block in self.merged.blocks}

    def predictions(self, coefficients: Mapping[str, torch.Tensor], chosen: Sequence[int]) -> torch.Tensor:
        """Return the log-probabilities of some sentences, shape (n, labels), without gradients."""
        with torch.no_grad():
            parts = [chosen[i : i + JUDGED] for i in range(0, len(chosen), JUDGED)]
            return torch.cat([self.merged.log_probabilities(coefficients, *self.batch(part)) for part in parts])


def load_subject(
    inputs: Mapping[str, Any], texts: Sequence[str], granularity: Granularity, base: str, max_length: int
) -> Subject:
    """Return the merges of a job's sources, ``inputs["models"]`` from θ₀ in ``inputs["base"]``, on some sentences."""
    sources = [load_task_vector(path, base) for path in inputs["models"]]
    return Subject(inputs["base"], sources, texts, blocks_of_model(inputs["base"], granularity), max_length)


def learn_on_target(
    learn: Callable[..., Learned],
    inputs: Mapping[str, Any],
    weights: Sequence[float],
    parameters: Mapping[str, Any],
    base: str,
    max_length: int,
    seed: int,
) -> tuple[dict[str, list[float]], list[float]]:
    """Learn the coefficients of a merge of the workflow on the target's unlabelled text.

    Parameters
    ----------
    learn : callable
        `lower_entropy` or `follow_sources`.
    inputs : mapping
        ``models``, one path per source; ``text`` and ``text_digest``: one path each, the target's training
        table; ``base``: θ₀'s folder.
    weights : sequence of float
        Where the coefficients start.
    parameters : mapping
        The method's hyper-parameters.
    base : str
        θ₀'s digest.
    max_length, seed : int

    Returns
    -------
    dict
        Block → λ per source.
    list of float
        See `Learned`.
    """
    texts = read_examples(inputs["text"][0], inputs["text_digest"][0])["text"].tolist()
    subject = load_subject(inputs, texts, parameters["granularity"], base, max_length)
    learned = learn(subject, weights, parameters, seed)
    return learned.coefficients, learned.history


def lower_entropy(subject: Subject, weights: Sequence[float], parameters: Mapping[str, Any], seed: int) -> Learned:
    """Lower the entropy of the merged model's predictions; in each block the sum of λ stays what it was at the start.

    Parameters
    ----------
    subject : Subject
    weights : sequence of float
        Where λ starts, in the order of the sources.
    parameters : mapping
        The method's hyper-parameters.
    seed : int
        Of the batches.

    Raises
    ------
    XlmergeError
        If the entropy is not finite.
    """
    start = subject.everywhere(weights)
    free = {block: value.clone().requires_grad_() for block, value in start.items()}
    optimiser = torch.optim.Adam(list(free.values()), lr=parameters["learning_rate"])
    history = []
    for batch in _batches(len(subject.encoded), parameters["steps"], parameters["batch_size"], seed):
        coefficients = {block: _held(value, start[block]) for block, value in free.items()}
        loss = subject.merged.entropy(coefficients, *subject.batch(batch))
        if not torch.isfinite(loss):
            raise XlmergeError("adamerging: the entropy is not finite; lower `learning_rate`")
        history.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Learned({block: _held(value.detach(), start[block]).tolist() for block, value in free.items()}, history)


def follow_sources(subject: Subject, weights: Sequence[float], parameters: Mapping[str, Any], seed: int) -> Learned:
    """Bring the merged model's predictions near the mean of the sources'; parameters as of `lower_entropy`.

    Raises
    ------
    XlmergeError
        If there are fewer than two sentences, or the divergence is not finite.
    """
    count = len(subject.encoded)
    if count < 2:
        raise XlmergeError("distill: needs two sentences of the target or more, one of them to judge on")
    held_out, training = _split(count, seed)
    wanted = _ensemble(subject, range(count))
    coefficients = {block: v.requires_grad_() for block, v in subject.everywhere(weights).items()}
    optimiser = torch.optim.Adam(list(coefficients.values()), lr=parameters["learning_rate"])
    best = {block: value.tolist() for block, value in coefficients.items()}
    history = [float(_divergence(wanted[held_out], subject.predictions(coefficients, held_out)))]
    since = 0
    for step, batch in enumerate(_batches(len(training), parameters["steps"], parameters["batch_size"], seed), 1):
        chosen = [training[i] for i in batch]
        loss = _divergence(wanted[chosen], subject.merged.log_probabilities(coefficients, *subject.batch(chosen)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % JUDGE_EVERY and step < parameters["steps"]:
            continue
        judged = float(_divergence(wanted[held_out], subject.predictions(coefficients, held_out)))
        if not isfinite(judged):
            raise XlmergeError("distill: the divergence is not finite; lower `learning_rate`")
        since = 0 if judged < min(history) else since + 1
        if not since:
            best = {block: value.tolist() for block, value in coefficients.items()}
        history.append(judged)
        if since >= parameters["patience"]:
            break
    return Learned(best, history)


def _split(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Return positions of the held-out quarter, at most `HELD_OUT`, and of the rest."""
    generator = torch.Generator().manual_seed(derive_seed("held out", seed))
    order = torch.randperm(count, generator=generator).tolist()
    size = min(HELD_OUT, max(1, count // 4))
    return sorted(order[:size]), sorted(order[size:])


def _ensemble(subject: Subject, chosen: Sequence[int]) -> torch.Tensor:
    """Return the mean of the sources' probabilities, shape (n, labels)."""
    corners = [[float(i == j) for j in range(subject.count)] for i in range(subject.count)]
    return torch.stack([subject.predictions(subject.everywhere(corner), chosen).exp() for corner in corners]).mean(0)


def _divergence(wanted: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    """Return the mean of KL(wanted ‖ p) in nats."""
    return torch.nn.functional.kl_div(log_p, wanted, reduction="batchmean")


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
