"""Steps over a model's tensors, with the head's part split off where it is averaged."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from workflow_scripts.checkpoints.models import Models
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import Step

Head = Literal["base", "mean"]
Steps = Sequence[Step] | Callable[[Models], Sequence[Step]]
SHOWN = 5


def averaged_tensors(models: Models, head: Head) -> frozenset[str]:
    """Return the tensors that become the weighted mean of the sources': those that θ₀ lacks, or the whole head."""
    return models.base.absent | (models.architecture.layout.head if head == "mean" else frozenset())


def resolve_steps(models: Models, steps: Steps, head: Head) -> list[Step]:
    """Return steps that name all their tensors.

    What becomes a mean is a step of its own: θ₀ + Σ wᵢ(θᵢ−θ₀), where a tensor that θ₀ lacks counts as 0 in it.

    Raises
    ------
    XlmergeError
        If tensors are unknown, in two steps, or in none though θ₀ lacks them; or a mean would have raw weights.
    """
    given = list(steps(models) if callable(steps) else steps)
    every, averaged = frozenset(models.architecture.layout.shapes), averaged_tensors(models, head)
    named = [name for step in given for name in step.tensors or ()]
    if len(set(named)) < len(named) or sum(step.tensors is None for step in given) > 1:
        raise XlmergeError("two steps merge the same tensors")
    if unknown := set(named) - every:
        raise XlmergeError(f"the model has no tensors {', '.join(sorted(unknown)[:SHOWN])}")
    resolved: list[Step] = []
    for step in given:
        tensors = every - set(named) if step.tensors is None else step.tensors
        if step.raw and tensors & averaged:
            raise XlmergeError(f"the head is averaged, which takes weights of 0 or more, not {list(step.weights)}")
        resolved.append(replace(step, tensors=tensors - averaged))
        resolved.append(Step("similarity", {}, step.weights, tensors & averaged))
    resolved = [step for step in resolved if step.tensors]
    covered = {name for step in resolved for name in step.tensors or ()}
    if missing := models.base.absent - covered:
        raise XlmergeError(f"the base lacks {', '.join(sorted(missing)[:SHOWN])}, and no step merges it")
    return resolved
