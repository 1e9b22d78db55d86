"""The k most similar sources."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.selection.ranking import proportional, ranked

SUPERVISION = "none"


def top_k(
    similarity: Mapping[str, float],
    k: int,
    forced: list[str],
    *,
    weights: Annotated[
        Literal["similarity", "uniform", "softmax"], Field(description="How the sources' weights follow similarity.")
    ] = "similarity",
    temperature: Annotated[float, Field(gt=0, description="Of the softmax weights.")] = 0.1,
) -> list[tuple[str, float]]:
    """Return the k most similar candidates with their weights, most similar first.

    Parameters
    ----------
    similarity : mapping
        Candidate locale → similarity to the target.
    k : int
        Number of sources.
    forced : list of str
        Candidates that must be among them (the target itself, with IncTar).

    Returns
    -------
    list of (str, float)
        Weights ≥ 0 with sum 1. Ties break by locale name; negative similarities weigh 0.
    """
    order = ranked(similarity)
    chosen = forced + [name for name in order if name not in forced][: k - len(forced)]
    values = {name: similarity[name] for name in sorted(chosen, key=order.index)}
    if weights == "uniform":
        return proportional(dict.fromkeys(values, 1.0))
    if weights == "softmax":
        best = max(values.values())
        return proportional(
            {name: math.exp((value - best) / temperature) if value > 0 else 0.0 for name, value in values.items()}
        )
    return proportional(values)
