"""Two systems on one target: their paired differences, summed by cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workflow_scripts.results.items import Correctness

System = tuple[str, str]  # (experiment, system)
Pair = tuple[System, System]
SHARED = 0.1  # of all clusters; below, equal names are taken for chance
DECIMALS = 6  # stored correctness is float32: means over models that are equal must differ by nothing


@dataclass(frozen=True)
class Differences:
    """The differences of C pairs of systems on one target, means over seeds.

    Attributes
    ----------
    clusters : ndarray of str, shape (G,)
    sizes : ndarray, shape (G,)
        Items per cluster.
    sums : ndarray of float64, shape (G, C)
        Summed differences of each cluster's items.
    seeds : ndarray of float64, shape (C, S)
        Mean differences per seed.
    """

    clusters: np.ndarray
    sizes: np.ndarray
    sums: np.ndarray
    seeds: np.ndarray

    @classmethod
    def of_numbers(cls, target: str, values: np.ndarray) -> "Differences":
        """Return C numbers of a target, one per seed (C, S), in the form of differences: as one item."""
        return cls(np.array([target]), np.ones(1, int), values.mean(1)[None], values)

    @property
    def n(self) -> int:
        """Number of items."""
        return int(self.sizes.sum())

    @cached_property
    def means(self) -> np.ndarray:
        """Mean difference of each pair, shape (C,)."""
        return self.sums.sum(0) / self.n

    @property
    def single(self) -> bool:
        """Tell whether every cluster is one item."""
        return len(self.clusters) == self.n

    def of(self, columns: Sequence[int]) -> "Differences":
        """Return some of the pairs; without a copy where they are all."""
        if list(columns) == list(range(self.sums.shape[1])):
            return self
        return Differences(self.clusters, self.sizes, self.sums[:, columns], self.seeds[columns])


def paired_differences(items: Correctness, pairs: Sequence[Pair]) -> Differences:
    """Return the differences first − second of pairs of systems of a target.

    A system that is made once for all seeds, as a soup of seeds is, counts with each of the other's seeds.
    """
    names, index = np.unique(items.clusters, return_inverse=True)
    sums = np.empty((len(names), len(pairs)))
    seeds = []
    for column, (first, second) in enumerate(pairs):
        difference = items.per_seed(*first).astype(np.float64) - items.per_seed(*second)
        sums[:, column] = np.bincount(index, np.round(difference.mean(0), DECIMALS), minlength=len(names))
        seeds.append(difference.mean(1))
    return Differences(names, np.bincount(index, minlength=len(names)), sums, np.array(seeds))


def shared_clusters(targets: Mapping[str, Differences]) -> bool:
    """Tell whether targets share clusters, as parallel utterances do; a few equal names are not enough."""
    names = [name for target in targets.values() for name in target.clusters]
    return len(set(names)) < (1 - SHARED) * len(names)
