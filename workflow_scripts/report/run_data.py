"""Everything that the report shows, read once from a finished run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.inputs import by_wildcards, stated
from workflow_scripts.core.intervals import clustered_accuracy
from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.data.examples import read_examples
from workflow_scripts.data.look import SPLITS
from workflow_scripts.evaluation.packs import read_pack
from workflow_scripts.results import tables
from workflow_scripts.results.run_results import Results, mixed_versions, read_results
from workflow_scripts.results.selection_diagnostics import selection_diagnostics
from workflow_scripts.selection.systems import BEST_SINGLE, MERGE
from workflow_scripts.statistics.comparison import ACROSS
from workflow_scripts.statistics.contrasts import BESIDE, EXPLORATORY, PRIMARY

TEXT = ("target", "experiment")  # columns that are text even where all of them are empty
LABELS_CHOOSE = "labelled validation"

Packs = Mapping[tuple[str, int], str]  # (locale, seed) → file
Matrices = Mapping[tuple[str, int], pd.DataFrame]  # (similarity type, seed) → matrix


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


@dataclass(frozen=True)
class RunData:
    """A finished run, as the report reads it.

    Attributes
    ----------
    results : Results
    details, diagnostics : DataFrame
        `tables.merge_details`, `selection_diagnostics`.
    similarities : dict of str to DataFrame
        Similarity type → matrix (rows = target, columns = source), mean over seeds.
    cells : DataFrame
        Index (model, locale): ``accuracy``, ``low``, ``high``, ``n``, ``clusters`` on test data, means over seeds.
    counted : dict of (locale, split) to dict
        What the data jobs counted: `look.facts_of`.
    examples : dict of str to DataFrame
        Locale → test examples.
    not_converged : dict of (locale, seed) to str
        Why a model has not converged; only those that have not.
    predictions : dict of str to Predictions
        Target → predictions of the systems that its page compares.
    sidecars : list of dict
    disk : dict of str to list of int
        What is stored → sizes of its files in bytes.
    statistics, claims, recommendations : DataFrame
        As in the CSV files of these names.
    comparison_facts, predictor : dict
        ``statistics.json``, ``predictor.json``.
    """

    results: Results
    details: pd.DataFrame
    diagnostics: pd.DataFrame
    similarities: dict[str, pd.DataFrame]
    cells: pd.DataFrame
    counted: dict[tuple[str, str], dict[str, Any]]
    examples: dict[str, pd.DataFrame]
    not_converged: dict[tuple[str, int], str]
    predictions: dict[str, Predictions]
    sidecars: list[dict[str, Any]]
    disk: dict[str, list[int]]
    statistics: pd.DataFrame
    comparison_facts: dict[str, Any]
    claims: pd.DataFrame
    recommendations: pd.DataFrame
    predictor: dict[str, Any]

    @cached_property
    def compared_merges(self) -> pd.DataFrame:
        """The rows of `details` but for merges that only tuned systems ask for: these count by what was picked."""
        return self.details[self.details["experiment"].isin(list(self.results.experiments))]

    @cached_property
    def overview(self) -> pd.DataFrame:
        """One row per experiment."""
        return tables.experiment_overview(self.results, self.details)

    @cached_property
    def differences(self) -> pd.Series:
        """Target → merge − best single source, both chosen on validation data."""
        chosen, fair = self.results.chosen_and_fair
        return chosen - fair

    def primary_contrast(self, tier: str) -> pd.Series | None:
        """Return the primary comparison of a level of supervision: interval, test, verdict; None if there is none."""
        table = self.statistics
        rows = table[(table["family"] == PRIMARY) & (table["tier"] == tier)]
        return None if rows.empty else rows.iloc[0]

    @cached_property
    def beside_primary(self) -> pd.DataFrame:
        """The comparisons of the primary ones' merges with the other single models and with training."""
        primary, across = self.across_targets(PRIMARY), self.across_targets(EXPLORATORY)
        return across[across["experiment"].isin(primary["experiment"]) & across["baseline"].isin(BESIDE)]

    @cached_property
    def primary_recommendations(self) -> pd.DataFrame:
        """One recommendation per target, in the run's order: the one that is shown first."""
        rows = self.recommendations[self.recommendations["primary"].astype(bool)].drop_duplicates("target")
        order = {target: i for i, target in enumerate(self.results.targets)}
        return rows.sort_values("target", key=lambda column: column.map(order))

    @cached_property
    def observed_shares(self) -> dict[str, float]:
        """Locale → the share of its typological features that are observed; empty without such a measure."""
        return next((s["observed_share"] for s in self.sidecars if "observed_share" in s), {})

    @cached_property
    def mixed_versions(self) -> str:
        """Which libraries made some of the results in one version and some in another; empty if none did."""
        return mixed_versions(self.sidecars)

    @cached_property
    def _compared(self) -> dict[tuple[str, str, str], pd.Series]:
        rows = self.statistics[self.statistics["system"] == MERGE]
        return {(row["baseline"], row["experiment"], row["target"]): row for _, row in rows.iterrows()}

    def language(self, locale: str) -> dict[str, Any]:
        """Return a locale's row of the locale table."""
        return self.results.languages[locale]

    def named(self, locale: str) -> str:
        """Return a locale with its language's name."""
        return f"{self.language(locale)['language']} ({locale})"

    def converged_mark(self, locale: str) -> str:
        """Return what stands beside the accuracy of a locale's own model: nothing, if it has converged."""
        return " (not converged)" if any(locale == model for model, _ in self.not_converged) else ""

    def effect(self, baseline: str, experiment: str, target: str = "") -> pd.Series | None:
        """Return the comparison of an experiment's merge with a baseline, on one target or across all."""
        return self._compared.get((baseline, experiment, target))

    def across_targets(self, family: str) -> pd.DataFrame:
        """Return the comparisons of a family across targets."""
        table = self.statistics
        return table[(table["family"] == family) & (table["scope"] == ACROSS)]


def read_run(inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> RunData:
    """Read a run from a job's inputs; see rule `write_report` for their names and order."""
    results = read_results(inputs, settings)
    locales, seeds = results.settings["locales"], results.settings["seeds"]
    examples = {locale: read_examples(*table) for locale, table in zip(locales, stated(inputs, "table"), strict=True)}
    rows = by_wildcards(inputs["rows"], locales, seeds)
    merges = by_wildcards(inputs["merges"], results.targets, seeds)
    measured = by_wildcards(inputs["similarities"], settings["measures"], seeds)
    similarities = {key: read_matrix(path) for key, path in measured.items()}
    transfer = {seed: read_matrix(path) for seed, path in by_wildcards(inputs["seed_matrices"], seeds).items()}
    return RunData(
        results=results,
        details=tables.merge_details(results),
        diagnostics=selection_diagnostics(
            results.plan.values(), {**results.members, **results.experiments}, transfer, similarities
        ),
        similarities={m: _mean([similarities[m, seed] for seed in seeds]) for m in settings["measures"]},
        cells=_read_cells(rows, examples),
        counted={place: read_json(p) for place, p in by_wildcards(inputs["data_facts"], locales, SPLITS).items()},
        examples=examples,
        not_converged=_not_converged(by_wildcards(inputs["trainings"], locales, seeds)),
        predictions={t: _read_predictions(results, t, rows, merges) for t in results.targets},
        sidecars=[read_json(p) for p in inputs["sidecars"]],
        disk={name: [Path(p).stat().st_size for p in inputs[name]] for name in ("models", "rows", "merges")},
        statistics=_table(inputs["comparisons"]),
        comparison_facts=read_json(inputs["comparison_facts"]),
        claims=_table(inputs["claims"]),
        recommendations=_table(inputs["recommendations"]),
        predictor=read_json(inputs["predictor"]),
    )


def _not_converged(trainings: Mapping[tuple[str, int], str]) -> dict[tuple[str, int], str]:
    """Return the reasons of trainings that say so; a model that was brought along has none."""
    reasons = {key: read_json(path).get("not_converged") for key, path in trainings.items()}
    return {key: reason for key, reason in reasons.items() if reason}


def _table(path: str) -> pd.DataFrame:
    """Read a table; text columns have empty text where nothing is said, not NaN."""
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(TEXT, "str"))
    text = table.select_dtypes(exclude="number").columns
    return table.fillna(dict.fromkeys(text, ""))


def _mean(matrices: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return sum(matrices[1:], matrices[0]) / len(matrices)


def _read_predictions(results: Results, target: str, rows: Packs, merges: Packs) -> Predictions:
    """Read what the three systems that a target's page compares predicted, per seed."""
    seeds, systems, chosen = results.settings["seeds"], results.systems, results.chosen[target]
    fair = systems[(systems["target"] == target) & (systems["system"] == BEST_SINGLE)]
    models = {str(row.seed): row.model for row in fair.itertuples()}
    return Predictions(
        own=np.stack([read_pack(rows[target, seed], target).predictions for seed in seeds]),
        single=np.stack([read_pack(rows[models[str(seed)], seed], target).predictions for seed in seeds]),
        merge=np.stack(
            [read_pack(merges[target, seed], results.stored_name(chosen, target, seed)).predictions for seed in seeds]
        ),
    )


def _read_cells(rows: Packs, examples: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the accuracy of every model on every locale's test data, means over seeds, with intervals."""
    models: dict[str, list[str]] = {}
    for (model, _), path in rows.items():
        models.setdefault(model, []).append(path)
    cells = {}
    for locale, table in examples.items():
        clusters = pd.factorize(table["cluster"])[0]
        for model, paths in models.items():
            correct = np.mean([read_pack(path, locale).correct for path in paths], axis=0)
            accuracy = clustered_accuracy(correct, clusters)
            cells[model, locale] = (accuracy.value, accuracy.low, accuracy.high, accuracy.n, accuracy.clusters)
    index = pd.MultiIndex.from_tuples(cells, names=["model", "locale"])
    return pd.DataFrame(list(cells.values()), index=index, columns=["accuracy", "low", "high", "n", "clusters"])
