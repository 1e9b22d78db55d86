"""How well effects of a left-out target are predicted, and how well they would be by chance."""

from dataclasses import dataclass

import numpy as np

from workflow_scripts.findings.predictor.ridge import leave_one_out

PERMUTATIONS = 499


@dataclass(frozen=True)
class Quality:
    """Quality of leave-one-target-out predictions.

    Attributes
    ----------
    r2 : float
        1 − squared error / squared error of the other targets' mean effect; below 0: worse than that mean.
    mae : float
        Mean absolute error, in units of accuracy.
    correlation : float
        Pearson correlation over all rows. Under pure noise its expectation is below 0, not 0.
    """

    r2: float
    mae: float
    correlation: float


def score(responses: np.ndarray, predictions: np.ndarray, groups: np.ndarray) -> Quality:
    """Return the quality of predictions (n,) of responses (n,) by group (n,)."""
    flat = np.ptp(responses) == 0 or np.ptp(predictions) == 0
    return Quality(
        float(r_squared(responses[:, None], predictions[:, None], groups)[0]),
        float(np.abs(responses - predictions).mean()),
        float("nan") if flat else float(np.corrcoef(responses, predictions)[0, 1]),
    )


def r_squared(responses: np.ndarray, predictions: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the leave-one-group-out R² of each column (n, m) → (m,); the reference is the other groups' mean."""
    reference = np.empty(responses.shape)
    for group in np.unique(groups):
        held = groups == group
        reference[held] = responses[~held].mean(0)
    total = ((responses - reference) ** 2).sum(0)
    error = ((responses - predictions) ** 2).sum(0)
    return np.where(total > 0, 1 - error / np.where(total > 0, total, 1), 0.0)


def permutation_null(
    features: np.ndarray,
    responses: np.ndarray,
    groups: np.ndarray,
    items: np.ndarray,
    seed: int,
    draws: int = PERMUTATIONS,
) -> tuple[float, np.ndarray]:
    """Return the p value of the leave-one-out R², and its null distribution (draws,).

    Whole targets swap their effects, so that effects of one target stay together and each experiment keeps its mean:
    the null is that *which target* has which effects has nothing to do with the features. Everything is refitted,
    penalties included. Targets swap only with targets that have the same experiments.

    Parameters
    ----------
    features : ndarray, shape (n, p)
    responses : ndarray, shape (n,)
    groups, items : ndarray, shape (n,)
        Target and experiment of each row.
    seed : int
    draws : int
    """
    shuffled = permuted(responses, groups, items, np.random.default_rng(seed), draws)
    columns = np.column_stack([responses, shuffled])
    r2 = r_squared(columns, leave_one_out(features, columns, groups), groups)
    return float((1 + (r2[1:] >= r2[0]).sum()) / (1 + draws)), r2[1:]


def permuted(
    responses: np.ndarray, groups: np.ndarray, items: np.ndarray, generator: np.random.Generator, draws: int
) -> np.ndarray:
    """Return responses (n, draws) whose targets' whole vectors of effects are dealt out anew."""
    alike: dict[tuple[str, ...], list[np.ndarray]] = {}
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        rows = rows[np.argsort(items[rows], kind="stable")]
        alike.setdefault(tuple(map(str, items[rows])), []).append(rows)
    shuffled = np.repeat(responses[:, None], draws, axis=1)
    for blocks in alike.values():
        places = np.array(blocks)
        for draw in range(draws):
            shuffled[places, draw] = responses[places[generator.permutation(len(places))]]
    return shuffled
