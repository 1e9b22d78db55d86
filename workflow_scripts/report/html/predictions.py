"""What models predicted, from stored logits."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.core.intervals import clustered_accuracy
from workflow_scripts.evaluation.packs import read_pack
from workflow_scripts.results.run_results import Results

Packs = Mapping[tuple[str, int], str]  # (locale, seed) → file


@dataclass(frozen=True)
class Predictions:
    """Predicted labels on a target's test data.

    Attributes
    ----------
    own, single, merge : ndarray of int, shape (seeds, n)
        Of the target's own model, of the best other model as chosen on validation data, of the merge chosen likewise.
    """

    own: np.ndarray
    single: np.ndarray
    merge: np.ndarray


def read_predictions(results: Results, target: str, chosen: str, rows: Packs, merges: Packs) -> Predictions:
    """Read what the three systems that a target's page compares predicted, per seed.

    `chosen` is the experiment of the merge.
    """
    seeds = results.settings["seeds"]
    systems = results.systems
    fair = systems[(systems["target"] == target) & (systems["system"] == "best_zero_shot_val")]
    models = {str(row.seed): row.model for row in fair.itertuples()}
    return Predictions(
        own=np.stack([read_pack(rows[target, seed], target).predictions for seed in seeds]),
        single=np.stack([read_pack(rows[models[str(seed)], seed], target).predictions for seed in seeds]),
        merge=np.stack([read_pack(merges[target, seed], chosen).predictions for seed in seeds]),
    )


def read_cells(rows: Packs, examples: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the accuracy of every model on every locale's test data, means over seeds, with intervals."""
    models: dict[str, list[str]] = {}
    for (model, _), path in rows.items():
        models.setdefault(model, []).append(path)
    found = {}
    for locale, table in examples.items():
        clusters = pd.factorize(table["cluster"])[0]
        for model, paths in models.items():
            correct = np.mean([read_pack(path, locale).correct for path in paths], axis=0)
            accuracy = clustered_accuracy(correct, clusters)
            found[model, locale] = (accuracy.value, accuracy.low, accuracy.high, accuracy.n, accuracy.clusters)
    index = pd.MultiIndex.from_tuples(found, names=["model", "locale"])
    return pd.DataFrame(list(found.values()), index=index, columns=["accuracy", "low", "high", "n", "clusters"])
