"""All that the predictor and the recommendations are made from."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.intervals import Accuracy, clustered_accuracy
from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.data.examples import read_examples
from workflow_scripts.evaluation.packs import read_pack
from workflow_scripts.findings.predictor.features import OMITTED, Knowledge, feature_table
from workflow_scripts.findings.predictor.options import Key, Option, target_options
from workflow_scripts.findings.predictor.regret import halves
from workflow_scripts.results.items import Correctness, read_items
from workflow_scripts.results.run_results import Results
from workflow_scripts.results.tables import method_title


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


@dataclass(frozen=True)
class Evidence:
    """A finished run, as far as advice needs it.

    Attributes
    ----------
    results : Results
    items : dict of str to Correctness
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
    items: Mapping[str, Correctness]
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
        """Target → what one could do, known from validation data alone.

        Systems that are tuned on the others are none: elsewhere this target is one of the others, so that how good they
        are there has seen its labels.
        """
        mean = dict(iter(self.results.mean.groupby("target")))
        on_others = {name for name, system in self.results.tuned.items() if system["on"] == "others"}
        offered = {name: e for name, e in self.results.experiments.items() if name not in on_others}
        return {t: target_options(mean[t], offered) for t in self.results.targets}

    @cached_property
    def features(self) -> tuple[pd.DataFrame, dict[str, str]]:
        """Features by (experiment, target), and each feature's tier; merges with the target's own model left out."""
        results, locales = self.results, list(self.results.settings["locales"])
        knowledge = Knowledge(
            locales,
            results.languages,
            {name: method_title(results, name) for name in results.experiments},
            {name: tier for name, tier in self.tiers.items() if results.settings["measures"][name] not in OMITTED},
            {key: matrix.loc[locales, locales].to_numpy() for key, matrix in self.similarities.items()},
            {seed: matrix.loc[locales, locales].to_numpy() for seed, matrix in self.seed_matrices.items()},
            {(t, seed): v.agreement(locales, seed) for t, v in self.validation.items() for seed in self.seeds},
        )
        without = (
            entry
            for entry in results.plan.values()
            if (settings := results.experiments.get(entry["experiment"])) and not settings["include_target"]
        )
        return feature_table(without, knowledge)

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
        of_option = rows[(rows["target"] == target) & (rows["experiment"] == experiment) & (rows["system"] == system)]
        return [(row.model, int(row.seed)) for row in of_option.itertuples() if str(row.seed) != "mean"]

    def level(self, target: str) -> dict[str, Any]:
        """Return the validation accuracies that fixed rules read: of the target's own model, of the best other."""
        column = self.results.matrix_validation[target]
        return {"self": float(column[target]), "best": float(column.drop(target).max())}


def read_evidence(
    results: Results, items: Mapping[str, str], inputs: Mapping[str, Any], settings: Mapping[str, Any]
) -> Evidence:
    """Return the evidence of a run.

    Parameters
    ----------
    results : Results
    items : mapping
        Target → its items.
    inputs : mapping
        Those of `read_validation`; ``similarities`` in the order of similarity types × seeds, and
        ``seed_matrices_validation`` of seeds.
    settings : mapping
        Those of `read_validation`; ``tiers``: similarity type → supervision tier.
    """
    seeds = settings["run"]["seeds"]
    similarities = by_wildcards(inputs["similarities"], settings["tiers"], seeds)
    matrices = by_wildcards(inputs["seed_matrices_validation"], seeds)
    return Evidence(
        results,
        {target: read_items(path) for target, path in items.items()},
        read_validation(results, inputs, settings),
        {key: read_matrix(path) for key, path in similarities.items()},
        {seed: read_matrix(path) for seed, path in matrices.items()},
        settings["tiers"],
    )


def read_validation(results: Results, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Validation]:
    """Return target → its validation data.

    Parameters
    ----------
    results : Results
    inputs : mapping
        ``validation_tables`` and their digests in the order of targets; ``validation_rows`` in the order of locales ×
        seeds; ``validation_merges`` in the order of targets × seeds.
    settings : mapping
        ``run``: ``locales`` and ``seeds``.
    """
    locales, seeds = settings["run"]["locales"], settings["run"]["seeds"]
    targets = {t: [name for name in results.experiments if t in results.targets_of[name]] for t in results.targets}
    rows = by_wildcards(inputs["validation_rows"], locales, seeds)
    merges = by_wildcards(inputs["validation_merges"], targets, seeds)
    tables, digests = (by_wildcards(inputs[f"validation_{kind}"], targets) for kind in ("tables", "digests"))
    validation = {}
    for target, experiments in targets.items():
        models = {key: read_pack(path, target) for key, path in rows.items()}
        merged = {
            (name, seed): read_pack(merges[target, seed], results.stored_name(name, target, seed))
            for name in experiments
            for seed in seeds
        }
        validation[target] = Validation(
            read_examples(tables[target], digests[target])["cluster"].to_numpy(),
            {key: scores.predictions for key, scores in models.items()},
            {key: scores.correct for key, scores in {**models, **merged}.items()},
        )
    return validation
