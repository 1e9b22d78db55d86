"""Merge coefficients found on the target's labelled validation data by an evolution strategy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import read_examples
from workflow_scripts.merging.adaptation import Subject, load_subject

FOLDS = 2

Coefficients = dict[str, list[float]]  # block → λ per source


def evolve_on_target(
    inputs: Mapping[str, Any],
    weights: Sequence[float],
    parameters: Mapping[str, Any],
    base: str,
    max_length: int,
    seed: int,
) -> dict[str, Any]:
    """Find the coefficients of a merge of the workflow.

    Parameters
    ----------
    inputs : mapping
        ``models``, one path per source; ``text`` and ``text_digest``: one path each, the target's validation table;
        ``base``: θ₀'s folder.
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
        ``coefficients``: block → λ per source; ``accuracy``: at the start and of the best, on the sentences that chose
        it; ``folds``: for each fold of the clusters ``sentences``, the positions of its sentences, and
        ``coefficients``, found on all others.

    Raises
    ------
    XlmergeError
        If all sentences are of one cluster.
    """
    table = read_examples(inputs["text"][0], inputs["text_digest"][0])
    subject = load_subject(inputs, table["text"].tolist(), parameters["granularity"], base, max_length)
    labels = torch.tensor(table["label"].tolist(), device=subject.merged.model.device)
    folds = split_clusters(table["cluster"].astype(str).tolist(), seed)
    every = list(range(len(labels)))
    best, accuracies = search(subject, labels, every, weights, parameters, seed)
    crossed = []
    for fold in folds:
        others = sorted(set(every) - set(fold))
        found, _ = search(subject, labels, others, weights, parameters, seed)
        crossed.append({"sentences": fold, "coefficients": found})
    return {"coefficients": best, "accuracy": accuracies, "folds": crossed}


def split_clusters(clusters: Sequence[str], seed: int) -> list[list[int]]:
    """Return the positions of each fold's sentences: whole clusters, in a random order, each to the smaller fold."""
    names = sorted(set(clusters))
    if len(names) < FOLDS:
        raise XlmergeError("evolve: the target's validation sentences are all of one cluster: none is left to judge on")
    members = {name: [i for i, cluster in enumerate(clusters) if cluster == name] for name in names}
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    for place in np.random.default_rng(derive_seed("folds", seed)).permutation(len(names)):
        min(folds, key=len).extend(members[names[place]])
    return [sorted(fold) for fold in folds]


def search(
    subject: Subject,
    labels: torch.Tensor,
    chosen: Sequence[int],
    weights: Sequence[float],
    parameters: Mapping[str, Any],
    seed: int,
) -> tuple[Coefficients, dict[str, float]]:
    """Return the best coefficients on some sentences, and the accuracy at the start and with them.

    Parameters
    ----------
    subject : Subject
    labels : Tensor
        Gold labels of all sentences.
    chosen : sequence of int
        The sentences that choose.
    weights : sequence of float
    parameters : mapping
        ``budget``, ``step``.
    seed : int
    """
    import cma  # slow to import: with matplotlib and scipy

    blocks = subject.merged.blocks
    gold = labels[list(chosen)]

    def loss(values: Sequence[float]) -> float:
        """Return the number of mistakes, and below 1 what the negative log-likelihood adds to it."""
        table = torch.tensor(np.reshape(values, (len(blocks), -1)), dtype=torch.float32, device=gold.device)
        log_p = subject.predictions(dict(zip(blocks, table, strict=True)), chosen)
        surprise = float(-log_p.gather(1, gold[:, None]).mean())
        if not np.isfinite(surprise):
            return float(len(gold) + 1)
        return float((log_p.argmax(-1) != gold).sum()) + surprise / (1 + surprise)

    generator = np.random.default_rng(derive_seed("evolution", seed))
    start = list(weights) * len(blocks)
    best, least = start, loss(start)
    first, tried = least, 1
    settings = {"seed": np.nan, "randn": lambda *shape: generator.standard_normal(shape), "verbose": -9}
    strategy = cma.CMAEvolutionStrategy(start, parameters["step"], settings)
    while tried < parameters["budget"]:
        candidates = strategy.ask()
        losses = [loss(candidate) for candidate in candidates[: parameters["budget"] - tried]]
        tried += len(losses)
        for candidate, value in zip(candidates, losses, strict=False):
            if value < least:
                best, least = candidate.tolist(), value
        if len(losses) < len(candidates):
            break
        strategy.tell(candidates, losses)
    accuracy = {"start": 1 - int(first) / len(gold), "best": 1 - int(least) / len(gold)}
    return dict(zip(blocks, np.reshape(best, (len(blocks), -1)).tolist(), strict=True)), accuracy
