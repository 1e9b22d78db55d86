"""Sinkhorn balancing, as the older study did: every source is wanted equally often."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field

from workflow_scripts.selection.question import Choice, Question, proportional, ranked

SUPERVISION = "none"


def sinkhorn(
    question: Question,
    *,
    keep: Annotated[int, Field(ge=1, description="Entries kept per row of the similarity matrix.")] = 20,
    rounds: Annotated[int, Field(ge=1, description="Rounds of row-then-column normalisation.")] = 20,
) -> Choice:
    """Return the k largest entries of the target's row of the balanced similarity matrix.

    The diagonal and negative similarities are set to 0, each row keeps its largest entries (ties break by locale name),
    and rows and columns are normalised in turn. So a source that is similar to everybody loses weight everywhere: it
    balances hubs, and does not pick the nearest (`selection_diagnostics.csv` shows what it picks instead).

    Parameters
    ----------
    question : Question
        ``matrix`` holds all locales' similarities.

    Returns
    -------
    list of (str, float)
        Sources and weights ≥ 0 with sum 1.

    Raises
    ------
    XlmergeError
        If fewer than k entries of the row are positive.
    """
    names, values = _balanced_once(_Same(question.matrix), keep, rounds)
    row = dict(zip(names, values[names.index(question.target)], strict=True))
    free = {name: float(row[name]) for name in question.free if row[name] > 0}
    question.require(list(free), f"sinkhorn leaves {len(free)} sources with a positive entry")
    return proportional(question.values_of(ranked(free)[: question.wanted], free))


class _Same:
    """A matrix as a key: equal to itself only. The targets of a run ask about the same one."""

    def __init__(self, matrix: Mapping[str, Mapping[str, float]]) -> None:
        self.matrix = matrix

    def __hash__(self) -> int:
        return id(self.matrix)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.matrix is self.matrix


@lru_cache(maxsize=8)
def _balanced_once(same: _Same, keep: int, rounds: int) -> tuple[list[str], np.ndarray]:
    """Return the locales and the balanced matrix; once for all targets, because it costs N² for each of them."""
    names = sorted(same.matrix)
    return names, balanced(np.array([[same.matrix[t][s] for s in names] for t in names]), keep, rounds)


def balanced(similarity: np.ndarray, keep: int, rounds: int) -> np.ndarray:
    """Return the balanced matrix; see `sinkhorn`.

    Parameters
    ----------
    similarity : ndarray, shape (N, N)
        Rows = target, columns = source, in the order of the locales' names.
    keep, rounds : int
    """
    values = np.maximum(similarity, 0.0)
    np.fill_diagonal(values, 0.0)
    for row in values:
        row[np.argsort(-row, kind="stable")[keep:]] = 0.0
    for _ in range(rounds):
        for axis in (1, 0):
            total = values.sum(axis, keepdims=True)
            values = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    return values
