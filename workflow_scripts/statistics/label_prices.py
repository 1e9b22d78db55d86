"""The worth of merges in labelled sentences, with intervals: per target, and of the means over targets.

An interval holds every number of sentences at which the merge and the training on so many cannot be told apart: the
95 % interval of their paired difference includes 0 (a test inverted, as Fieller 1954 does for ratios). So it respects
clusters on a target, and few targets across them, as all other intervals here do; where it reaches an end of the curve
it is open there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.results.items import Correctness, read_items
from workflow_scripts.results.labelled_curves import FEWER, MORE, STARTS, UNPRICED, Worth, labelled_curves, price, worth
from workflow_scripts.results.run_results import Results
from workflow_scripts.selection.systems import TIERS
from workflow_scripts.statistics.across_targets import compare_across
from workflow_scripts.statistics.comparison import ACROSS, TARGET
from workflow_scripts.statistics.contrasts import primary_contrasts
from workflow_scripts.statistics.differences import Differences, Pair, paired_differences
from workflow_scripts.statistics.one_target import cluster_interval

STEPS = 32  # numbers of sentences that are tried between two points of a curve
PRICED = TIERS[:3]  # whose merges do without a model of the target
COLUMNS = (
    "tier", "experiment", "start", "scope", "target", "targets", "accuracy", "sentences", "bound", "low", "low_bound",
    "high", "high_bound", "fewest", "accuracy_fewest", "most", "accuracy_most",
)  # fmt: skip
System = tuple[str, str]  # (experiment, system)
Row = dict[str, Any]


@dataclass(frozen=True)
class PricedMerge:
    """What is priced: a merge of each target, and the supervision that it needs."""

    tier: str
    experiment: str
    systems: Mapping[str, System]


def priced_merges(results: Results) -> list[PricedMerge]:
    """Return the merges of the primary comparisons that do without a model of the target, one per tier."""
    merges: dict[str, PricedMerge] = {}
    for contrast in primary_contrasts(results)[0]:
        if contrast.tier in PRICED:
            systems = {target: first for target, (first, _) in contrast.pairs.items()}
            merges.setdefault(contrast.tier, PricedMerge(contrast.tier, contrast.experiment, systems))
    return list(merges.values())


def label_prices(results: Results, paths: Mapping[str, str | Path]) -> pd.DataFrame:
    """Return the worth of each priced merge by each curve, across targets and on each; columns `COLUMNS`.

    Parameters
    ----------
    results : Results
    paths : mapping
        Target → its items.
    """
    curves = {start: labelled_curves(results.mean, start) for start in STARTS}
    merges = priced_merges(results)
    wanted = {system for merge in merges for _, system in merge.systems.values()}
    wanted |= {name for of_targets in curves.values() for curve in of_targets.values() for name in curve["system"]}
    items = {t: read_items(paths[t], wanted) for t in results.targets} if any(curves.values()) else {}
    rows: list[Row] = []
    for merge in merges:
        for start, of_targets in curves.items():
            priced = {t: curve for t, curve in of_targets.items() if t in merge.systems}
            about = {"tier": merge.tier, "experiment": merge.experiment, "start": start}
            rows += [about | row for row in _rows(merge, priced, items, results)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(
    merge: PricedMerge, curves: Mapping[str, pd.DataFrame], items: Mapping[str, Correctness], results: Results
) -> Iterator[Row]:
    accuracies = {t: float(items[t].mean(*merge.systems[t]).mean()) for t in curves}
    if curves:
        yield _mean_row(merge, curves, items, accuracies, results)
    for target, curve in curves.items():
        sizes, weights = grid(curve["sentences"].to_numpy(float))
        found = differences(items[target], merge.systems[target], list(curve["system"]), weights)
        ends = [cluster_interval(found.sums[:, i], found.sizes)[:2] for i in range(len(sizes))]
        estimate = price(curve, accuracies[target])
        yield {
            "scope": TARGET, "target": target, "targets": 1, "accuracy": accuracies[target],
            **_priced(estimate, *interval(sizes, np.array(ends), estimate)), **_ends(curve),
        }  # fmt: skip


def _mean_row(
    merge: PricedMerge,
    curves: Mapping[str, pd.DataFrame],
    items: Mapping[str, Correctness],
    accuracies: Mapping[str, float],
    results: Results,
) -> Row:
    """Return the row of the means over targets, at the numbers of sentences that all of them have, and with all.

    The number of all sentences differs between targets; it stands at its geometric mean.
    """
    common = [
        name for name in next(iter(curves.values()))["system"] if all(name in set(c["system"]) for c in curves.values())
    ]
    points = pd.concat(curves).groupby("system").agg({"sentences": _geometric, "accuracy": "mean"}).loc[common]
    sizes, weights = grid(points["sentences"].to_numpy())
    paired = {t: differences(items[t], merge.systems[t], common, weights) for t in curves}
    families = [results.languages[t]["family"] for t in curves]
    tested, _ = compare_across(paired, families)
    accuracy = float(np.mean(list(accuracies.values())))
    estimate = worth(points["sentences"].to_numpy(), points["accuracy"].to_numpy(), accuracy)
    ends = np.array([(each.low, each.high) for each in tested])
    return {
        "scope": ACROSS, "target": "", "targets": len(curves), "accuracy": accuracy,
        **_priced(estimate, *interval(sizes, ends, estimate)), **_ends(points),
    }  # fmt: skip


def _geometric(sizes: pd.Series) -> float:
    return float(np.exp(np.log(sizes).mean()).round(6))


def grid(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of sentences along a curve, even in log n, shape (g,), and what each point weighs there (k, g)."""
    count = len(sizes)
    places = np.linspace(0, count - 1, STEPS * (count - 1) + 1)
    weights = np.maximum(0, 1 - np.abs(places - np.arange(count)[:, None]))
    return np.exp(np.log(sizes) @ weights), weights


def differences(items: Correctness, merge: System, points: Sequence[str], weights: np.ndarray) -> Differences:
    """Return the differences of a merge and the trainings of a curve, interpolated between its points."""
    pairs: list[Pair] = [(merge, ("", name)) for name in points]
    paired = paired_differences(items, pairs)
    return Differences(paired.clusters, paired.sizes, paired.sums @ weights, weights.T @ paired.seeds)


def interval(sizes: np.ndarray, ends: np.ndarray, estimate: Worth) -> tuple[Worth, Worth]:
    """Return the ends of an interval: the outermost numbers of sentences where a difference's interval includes 0.

    Parameters
    ----------
    sizes : ndarray, shape (g,)
    ends : ndarray, shape (g, 2)
        The interval of merge − training at each; NaN where there is none.
    estimate : Worth
        What lies within in any case.
    """
    if np.isnan(ends).any():
        return UNPRICED, UNPRICED
    includes = (ends[:, 0] <= 0) & (ends[:, 1] >= 0)
    fewest, most = Worth(float(sizes[0]), FEWER), Worth(float(sizes[-1]), MORE)
    if not includes.any():
        return estimate, estimate
    first, last = int(np.argmax(includes)), len(sizes) - 1 - int(np.argmax(includes[::-1]))
    low = fewest if first == 0 else Worth(float(sizes[first]))
    high = most if last == len(sizes) - 1 else Worth(float(sizes[last]))
    return min(low, estimate, key=lambda w: w.place), max(high, estimate, key=lambda w: w.place)


def _priced(estimate: Worth, low: Worth, high: Worth) -> Row:
    return {
        "sentences": estimate.sentences, "bound": estimate.bound, "low": low.sentences, "low_bound": low.bound,
        "high": high.sentences, "high_bound": high.bound,
    }  # fmt: skip


def _ends(points: pd.DataFrame) -> Row:
    first, last = points.iloc[0], points.iloc[-1]
    return {
        "fewest": first["sentences"], "accuracy_fewest": first["accuracy"],
        "most": last["sentences"], "accuracy_most": last["accuracy"],
    }  # fmt: skip
