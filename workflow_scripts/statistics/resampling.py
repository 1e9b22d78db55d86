"""The studentised bootstrap over targets, families and clusters."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from workflow_scripts.statistics.differences import Differences, shared_clusters
from workflow_scripts.statistics.draws import CHUNK, DRAWS, resamples
from workflow_scripts.statistics.one_target import MARGIN, TestedDifference, beyond_margin


def drawn_means(targets: Mapping[str, Differences]) -> Iterator[list[np.ndarray]]:
    """Yield, per chunk of draws, each target's mean differences with its clusters resampled, shape (CHUNK, C).

    Clusters that occur in several targets are drawn once for all.
    """
    places, common = _places(targets), None
    if shared_clusters(targets):
        common = resamples("clusters", 1 + max(int(place.max()) for place in places.values()))
    of_target = {
        t: resamples(f"clusters of {t}", len(target.clusters)) for t, target in targets.items() if common is None
    }
    parts = {t: np.column_stack([target.sums, target.sizes]).astype(np.float32) for t, target in targets.items()}
    for _ in range(DRAWS // CHUNK):
        weights = None if common is None else next(common)
        yield [
            _resampled(part, next(of_target[t]) if weights is None else _columns(weights, places[t]))
            for t, part in parts.items()
        ]


def _places(targets: Mapping[str, Differences]) -> dict[str, np.ndarray]:
    """Return the position of each target's clusters among those of all targets."""
    names = np.unique(np.concatenate([target.clusters for target in targets.values()]))
    return {target: np.searchsorted(names, differences.clusters) for target, differences in targets.items()}


def _columns(weights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return some columns; without a copy where they are all."""
    return weights if len(places) == weights.shape[1] else weights[:, places]


def _resampled(parts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return mean differences (B, C) from clusters' sums and sizes, side by side in shape (G, C + 1)."""
    totals = weights @ parts
    return totals[:, :-1] / np.maximum(totals[:, -1:], 1)


def resampled_quotients(
    means: np.ndarray, groupings: Mapping[str, np.ndarray], drawn: Iterable[np.ndarray], common: np.ndarray
) -> dict[str, np.ndarray]:
    """Return, per way of grouping targets, (resampled − observed mean) / resampled error, shape (DRAWS, C).

    Parameters
    ----------
    means : ndarray, shape (T, C)
    groupings : mapping
        Name → the group of each target (T,).
    drawn : iterable of ndarray, shape (CHUNK or 1, T, C)
        The targets' means in each draw.
    common : ndarray, shape (C,)
        Variance beyond the targets' spread.
    """
    weights = {kind: resamples(kind, int(groups.max()) + 1) for kind, groups in groupings.items()}
    effects = {kind: overall(groups, means, common)[0] for kind, groups in groupings.items()}
    quotients_of: dict[str, list[np.ndarray]] = {kind: [] for kind in groupings}
    for values, _ in zip(drawn, range(DRAWS // CHUNK), strict=False):
        for kind, groups in groupings.items():
            resampled, errors = grouped_mean(next(weights[kind]), groups, values)
            with np.errstate(divide="ignore", invalid="ignore"):
                quotients = (resampled - effects[kind]) / np.sqrt(errors**2 + common)
            quotients_of[kind].append(np.nan_to_num(quotients, nan=0.0, posinf=np.inf, neginf=-np.inf))
    return {kind: np.concatenate(chunks) for kind, chunks in quotients_of.items()}


def overall(groups: np.ndarray, means: np.ndarray, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means over all targets and their group-robust errors, `common` variance included, each (C,)."""
    effects, errors = grouped_mean(np.ones((1, groups.max() + 1)), groups, means[None])
    return effects[0], np.sqrt(errors[0] ** 2 + common)


def grouped_mean(weights: np.ndarray, groups: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means of values and their group-robust errors, each of shape (B, C).

    Parameters
    ----------
    weights : ndarray, shape (B, F)
        How often each group counts.
    groups : ndarray of int, shape (T,)
        The group of each value; all in groups of their own: the ordinary mean and error.
    values : ndarray, shape (B or 1, T, C)
    """
    counts = weights[:, groups]
    totals = counts.sum(1)[:, None]
    means = (counts[:, None] @ values)[:, 0] / totals
    residuals = values - means[:, None]
    count = weights.shape[1]
    if count < len(groups):
        residuals = np.stack([residuals[:, groups == g].sum(1) for g in range(count)], axis=1)
    squares = (weights[:, None] @ residuals**2)[:, 0]
    return means, np.sqrt(count / max(1, count - 1) * squares) / totals


def studentised(
    effect: float, error: float, quotients: np.ndarray, test: str, margin: float = MARGIN
) -> TestedDifference:
    """Return the bootstrap-t interval and the equal-tailed p of the hypothesis of no effect.

    Parameters
    ----------
    effect, error : float
        The estimate and its standard error.
    quotients : ndarray, shape (B,)
        (resampled effect − effect) / resampled error.
    test : str
    margin : float
    """
    effect, error = float(effect), float(error)
    if not error > 0:
        p = 1.0 if effect == 0 else 2 / (DRAWS + 1)
        return TestedDifference(effect, effect, effect, p, error, test, *beyond_margin(effect, error, 0, margin))
    lower = np.quantile(quotients, 0.025, method="lower")  # draws without spread are infinite: not to be interpolated
    upper = np.quantile(quotients, 0.975, method="higher")
    observed = effect / error
    beyond = min((quotients >= observed).sum(), (quotients <= observed).sum())
    p = min(1.0, 2 * (int(beyond) + 1) / (DRAWS + 1))
    no_loss = (int((quotients >= (effect + margin) / error).sum()) + 1) / (DRAWS + 1)
    no_gain = (int((quotients <= (effect - margin) / error).sum()) + 1) / (DRAWS + 1)
    interval = effect - float(upper) * error, effect - float(lower) * error
    return TestedDifference(effect, *interval, p, error, test, no_loss, no_gain)
