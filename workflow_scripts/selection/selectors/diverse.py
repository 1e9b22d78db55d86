"""Sources that are similar to the target but not to each other."""

from typing import Annotated

from pydantic import Field

from workflow_scripts.selection.question import Choice, Question, proportional

SUPERVISION = "none"


def diverse(
    question: Question,
    *,
    relevance: Annotated[
        float, Field(ge=0, le=1, description="λ: weight of similarity to the target against variety.")
    ] = 0.7,
) -> Choice:
    """Choose one source after the other by maximal marginal relevance.

    Next comes the candidate with the largest λ·similarity to the target − (1 − λ)·largest similarity to a source chosen
    already (0 for the first); ties break by locale name. How similar c is to s is the matrix's entry with c as target.

    Parameters
    ----------
    question : Question
        ``matrix`` holds all locales' similarities.

    Returns
    -------
    list of (str, float)
        Sources and weights ∝ similarity to the target with sum 1, most similar first.

    Notes
    -----
    Carbonell and Goldstein 1998 (10.1145/290941.291025).
    """
    chosen: list[str] = []
    for _ in range(question.wanted):
        taken = [*question.forced, *chosen]
        scores = {
            name: relevance * value - (1 - relevance) * max((question.matrix[name][s] for s in taken), default=0.0)
            for name, value in question.free.items()
            if name not in chosen
        }
        chosen.append(min(scores, key=lambda name: (-scores[name], name)))
    return proportional(question.values_of(chosen))
