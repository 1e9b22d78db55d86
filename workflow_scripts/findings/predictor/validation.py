"""Item by item on the targets' validation data: every model, every merge."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workflow_scripts.core.intervals import Accuracy, clustered_accuracy
from workflow_scripts.data.examples import read_examples
from workflow_scripts.evaluation.packs import read_pack


@dataclass(frozen=True)
class Validation:
    """One target's validation data.

    Attributes
    ----------
    clusters : ndarray, shape (n,)
    predictions : dict of (locale, seed) to ndarray of int, shape (n,)
        Of every locale's model.
    correct : dict of (locale or experiment, seed) to ndarray of bool, shape (n,)
    """

    clusters: np.ndarray
    predictions: dict[tuple[str, int], np.ndarray]
    correct: dict[tuple[str, int], np.ndarray]

    def accuracy(self, models: Sequence[tuple[str, int]]) -> Accuracy:
        """Return the mean accuracy of models or merges (name, seed), with its interval."""
        return clustered_accuracy(np.mean([self.correct[m] for m in models], axis=0), self.clusters)

    def agreement(self, locales: Sequence[str], seed: int) -> np.ndarray:
        """Return the share of sentences on which two locales' models predict the same (locale × locale)."""
        shares = np.eye(len(locales))
        for i, j in itertools.combinations(range(len(locales)), 2):
            same = self.predictions[locales[i], seed] == self.predictions[locales[j], seed]
            shares[i, j] = shares[j, i] = same.mean()
        return shares


def read_validation(inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Validation]:
    """Return target → its validation data.

    Parameters
    ----------
    inputs : mapping
        ``validation_tables`` and their digests in the order of targets; ``validation_rows`` in the order of locales ×
        seeds; ``validation_merges`` in the order of targets × seeds.
    settings : mapping
        ``targets``: [target, its experiments] in order; ``run``: ``locales`` and ``seeds``.
    """
    locales, seeds = settings["run"]["locales"], settings["run"]["seeds"]
    rows = dict(zip(itertools.product(locales, seeds), inputs["validation_rows"], strict=True))
    targets = [target for target, _ in settings["targets"]]
    merges = dict(zip(itertools.product(targets, seeds), inputs["validation_merges"], strict=True))
    tables = zip(inputs["validation_tables"], inputs["validation_digests"], strict=True)
    found = {}
    for (target, experiments), (table, digest) in zip(settings["targets"], tables, strict=True):
        models = {key: read_pack(path, target) for key, path in rows.items()}
        merged = {(name, seed): read_pack(merges[target, seed], name) for name in experiments for seed in seeds}
        found[target] = Validation(
            read_examples(table, digest)["cluster"].to_numpy(),
            {key: scores.predictions for key, scores in models.items()},
            {key: scores.correct for key, scores in {**models, **merged}.items()},
        )
    return found
