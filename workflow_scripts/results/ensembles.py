"""Ensembles from stored logits: several models asked, no merge, and K times the cost of inference."""

from collections.abc import Sequence

import numpy as np

from workflow_scripts.evaluation.metrics import probabilities


def ensemble_scores(logits: Sequence[np.ndarray], weights: Sequence[float]) -> dict[str, np.ndarray]:
    """Return the ensembles' class scores.

    Parameters
    ----------
    logits : sequence of K ndarrays, shape (n, labels)
    weights : sequence of K floats
        The selected weights, sum 1.

    Returns
    -------
    dict of str to ndarray of float64, shape (n, labels)
        ``soft``: mean of the models' probabilities; ``weighted_soft``: the same with the weights; ``majority``: share
        of the models that vote for a class; ``weighted_majority``: their weight; ``logits``: softmax of the mean
        logits. Votes that are equal are told apart by the summed probability, which is added at a scale too small to
        overrule any vote.
    """
    p = np.stack([probabilities(each) for each in logits])
    votes = np.eye(p.shape[-1])[np.stack([each.argmax(1) for each in logits])]
    share = np.asarray(weights, np.float64)
    tie = p.mean(0)
    return {
        "soft": p.mean(0),
        "weighted_soft": np.tensordot(share, p, 1),
        "majority": break_ties(votes.mean(0), tie),
        "weighted_majority": break_ties(np.tensordot(share, votes, 1), tie),
        "logits": probabilities(np.mean([each.astype(np.float64) for each in logits], axis=0)),
    }


def break_ties(votes: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Return votes with a trace of `tie` (both shape (n, labels), rows sum to 1).

    Only equal votes change their order by it. Votes that differ by rounding alone are equal.
    """
    return np.round(votes, 9) + 1e-10 * tie
