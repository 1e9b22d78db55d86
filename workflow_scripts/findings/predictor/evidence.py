"""All that the predictor and the recommendations are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.findings.predictor.features import OMITTED, Known, feature_table
from workflow_scripts.findings.predictor.options import Key, Option, target_options
from workflow_scripts.findings.predictor.regret import halves
from workflow_scripts.findings.predictor.validation import Validation
from workflow_scripts.results.items import Items
from workflow_scripts.results.run_results import Results
from workflow_scripts.results.tables import method_title


@dataclass(frozen=True)
class Evidence:
    """A finished run, as far as advice needs it.

    Attributes
    ----------
    results : Results
    items : dict of str to Items
        Target → correctness per test item.
    validation : dict of str to Validation
    similarities : mapping
        (similarity type, seed) → matrix (rows = target, columns = source).
    seed_matrices : mapping
        Seed → A_val (rows = models, columns = evaluation locales).
    tiers : mapping
        Similarity type → supervision tier.
    """

    results: Results
    items: Mapping[str, Items]
    validation: Mapping[str, Validation]
    similarities: Mapping[tuple[str, int], pd.DataFrame]
    seed_matrices: Mapping[int, pd.DataFrame]
    tiers: Mapping[str, str]

    @property
    def seeds(self) -> list[int]:
        """The training seeds."""
        return list(self.results.settings["seeds"])

    @cached_property
    def options(self) -> dict[str, list[Option]]:
        """Target → what one could do, known from validation data alone."""
        mean = dict(iter(self.results.mean.groupby("target")))
        return {t: target_options(mean[t], self.results.experiments) for t in self.results.targets}

    @cached_property
    def features(self) -> tuple[pd.DataFrame, dict[str, str]]:
        """Features by (experiment, target), and each feature's tier; merges with the target's own model left out."""
        results, locales = self.results, list(self.results.settings["locales"])
        known = Known(
            locales,
            results.languages,
            {name: method_title(results, name) for name in results.experiments},
            {name: tier for name, tier in self.tiers.items() if results.settings["measures"][name] not in OMITTED},
            {key: matrix.loc[locales, locales].to_numpy() for key, matrix in self.similarities.items()},
            {seed: matrix.loc[locales, locales].to_numpy() for seed, matrix in self.seed_matrices.items()},
            {(t, seed): v.agreement(locales, seed) for t, v in self.validation.items() for seed in self.seeds},
        )
        without = (e for e in results.plan.values() if not results.experiments[e["experiment"]]["include_target"])
        return feature_table(without, known)

    @cached_property
    def first_halves(self) -> dict[str, np.ndarray]:
        """Target → its test data halved in several ways; targets with a single cluster cannot be halved."""
        clusters = {t: items.clusters for t, items in self.items.items() if len(set(items.clusters)) > 1}
        return halves(clusters, derive_seed("regret")) if clusters else {}

    def correct(self, target: str, key: Key) -> np.ndarray:
        """Return an option's correctness per test item, mean over seeds (n,)."""
        return self.items[target].mean(*key)

    def models(self, target: str, option: Option) -> list[tuple[str, int]]:
        """Return what an option is in each seed: the merge's experiment or the source's locale, and the seed."""
        experiment, system = option.key
        if option.kind == "merge":
            return [(experiment, seed) for seed in self.seeds]
        rows = self.results.systems
        own = rows[(rows["target"] == target) & (rows["experiment"] == experiment) & (rows["system"] == system)]
        return [(row.model, int(row.seed)) for row in own.itertuples() if str(row.seed) != "mean"]

    def level(self, target: str) -> dict[str, Any]:
        """Return the validation accuracies that fixed rules read: of the target's own model, of the best other."""
        column = self.results.matrix_validation[target]
        return {"self": float(column[target]), "best": float(column.drop(target).max())}
