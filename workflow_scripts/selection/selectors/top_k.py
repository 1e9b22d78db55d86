"""The k most similar sources."""

import math
from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.selection.question import Choice, Question, proportional, ranked

SUPERVISION = "none"


def top_k(
    question: Question,
    *,
    weights: Annotated[
        Literal["similarity", "uniform", "softmax"], Field(description="How the sources' weights follow similarity.")
    ] = "similarity",
    temperature: Annotated[float, Field(gt=0, description="Of the softmax weights.")] = 0.1,
) -> Choice:
    """Return the k most similar candidates, most similar first.

    Ties break by locale name; negative similarities weigh 0.

    Parameters
    ----------
    question : Question

    Returns
    -------
    list of (str, float)
        Sources and weights ≥ 0 with sum 1.
    """
    values = question.values_of(ranked(question.free)[: question.wanted])
    if weights == "uniform":
        return proportional(dict.fromkeys(values, 1.0))
    if weights == "softmax":
        best = max(values.values())
        return proportional(
            {name: math.exp((value - best) / temperature) if value > 0 else 0.0 for name, value in values.items()}
        )
    return proportional(values)
