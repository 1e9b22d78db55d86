"""All sources that are nearly as similar as the best one."""

from typing import Annotated

from pydantic import Field

from workflow_scripts.selection.question import Choice, Question, proportional, ranked

SUPERVISION = "none"


def threshold(
    question: Question,
    *,
    fraction: Annotated[
        float, Field(gt=0, le=1, description="Sources with at least this share of the best similarity are taken.")
    ] = 0.9,
) -> Choice:
    """Return the candidates with similarity ≥ fraction · best, at most k of them.

    Parameters
    ----------
    question : Question
        ``k`` is only an upper limit here (``num_languages: all``: none).

    Returns
    -------
    list of (str, float)
        Sources and weights ∝ similarity with sum 1. The best candidate is always among them.
    """
    order = ranked(question.free)[: question.wanted]
    limit = fraction * question.free[order[0]] if order else 0.0
    chosen = [name for i, name in enumerate(order) if i == 0 or question.free[name] >= limit]
    return proportional(question.values_of(chosen))
