"""Greedy soup: a source is added if the merged model does not get worse on the target's validation data."""

from workflow_scripts.selection.question import Choice, Question, proportional

SUPERVISION = "labelled validation"
USES_SIMILARITY = False
NEEDS_GREEDY = True


def greedy(question: Question) -> Choice:
    """Return the first k sources that the greedy search took, all with the same weight.

    Parameters
    ----------
    question : Question
        ``greedy``: the search's sources; see `selection.greedy_search`. They may be fewer than k.

    Returns
    -------
    list of (str, float)

    Notes
    -----
    Wortsman et al. 2022 (arXiv 2203.05482). Similarities have no part in it. A search that stops at k sources takes the
    same ones as one without a limit takes first.
    """
    return proportional(dict.fromkeys(question.greedy[: question.k], 1.0))
