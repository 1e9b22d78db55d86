"""The pivot language alone, or with the most similar others."""

from workflow_scripts.selection.question import Choice, Question, proportional, ranked

SUPERVISION = "none"
WITHOUT_PIVOT = True  # the pivot itself cannot be a target


def pivot(question: Question) -> Choice:
    """Return the run's pivot and the k − 1 most similar other candidates.

    Parameters
    ----------
    question : Question

    Returns
    -------
    list of (str, float)
        Sources and weights ∝ similarity with sum 1, most similar first.
    """
    others = [name for name in ranked(question.free) if name != question.pivot]
    return proportional(question.values_of([question.pivot, *others][: question.wanted]))
