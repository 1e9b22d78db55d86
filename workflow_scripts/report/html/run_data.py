"""Everything that the HTML report shows, read from a job's inputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.data.examples import read_examples
from workflow_scripts.report.html.predictions import Predictions, read_cells, read_predictions
from workflow_scripts.results import tables
from workflow_scripts.results.run_results import Results, read_results

TEXT = ("target", "experiment")  # columns that are text even where all of them are empty


@dataclass(frozen=True)
class RunData:
    """A finished run, as the HTML report reads it.

    Attributes
    ----------
    results : Results
    details, diagnostics : DataFrame
        `tables.merge_details`, `selection_diagnostics`.
    similarities : dict of str to DataFrame
        Similarity type → matrix (rows = target, columns = source), mean over seeds.
    cells : DataFrame
        Index (model, locale): ``accuracy``, ``low``, ``high``, ``n``, ``clusters`` on test data, means over seeds.
    examples : dict of str to DataFrame
        Locale → test examples.
    predictions : dict of str to Predictions
        Target → predictions of the systems that its page compares.
    sidecars : list of dict
    disk : dict of str to list of int
        What is stored → sizes of its files in bytes.
    statistics, claims, recommendations : DataFrame
        As in the CSV files of these names.
    predictor : dict
        ``predictor.json``.
    """

    results: Results
    details: pd.DataFrame
    diagnostics: pd.DataFrame
    similarities: dict[str, pd.DataFrame]
    cells: pd.DataFrame
    examples: dict[str, pd.DataFrame]
    predictions: dict[str, Predictions]
    sidecars: list[dict[str, Any]]
    disk: dict[str, list[int]]
    statistics: pd.DataFrame
    claims: pd.DataFrame
    recommendations: pd.DataFrame
    predictor: dict[str, Any]

    @cached_property
    def overview(self) -> pd.DataFrame:
        """One row per experiment."""
        return tables.experiment_overview(self.results, self.details)

    @cached_property
    def _compared(self) -> dict[tuple[str, str, str], pd.Series]:
        rows = self.statistics[self.statistics["system"] == "merge"]
        return {(row["baseline"], row["experiment"], row["target"]): row for _, row in rows.iterrows()}

    @cached_property
    def tiers(self) -> dict[str, str]:
        """Experiment → the supervision it needs."""
        return dict(self.overview[["experiment", "tier"]].itertuples(index=False))

    def language(self, locale: str) -> dict[str, Any]:
        """Return a locale's row of the locale table."""
        return self.results.languages[locale]

    def effect(self, baseline: str, experiment: str, target: str = "") -> pd.Series | None:
        """Return the comparison of an experiment's merge with a baseline, on one target or across all."""
        return self._compared.get((baseline, experiment, target))


def read_run(inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> RunData:
    """Read a run from a job's inputs; see rule `html_report` for their names and order."""
    results = read_results(inputs, settings)
    locales, seeds = results.settings["locales"], results.settings["seeds"]
    files = zip(locales, inputs["tables"], inputs["table_digests"], strict=True)
    examples = {locale: read_examples(path, digest) for locale, path, digest in files}
    keys = [(locale, seed) for locale in locales for seed in seeds]
    rows = dict(zip(keys, inputs["rows"], strict=True))
    merged = [(target, seed) for target in results.targets for seed in seeds]
    merges = dict(zip(merged, inputs["merges"], strict=True))
    return RunData(
        results=results,
        details=_table(inputs["details"]),
        diagnostics=_table(inputs["diagnostics"]),
        similarities=_mean_matrices(settings["measures"], seeds, inputs["similarities"]),
        cells=read_cells(rows, examples),
        examples=examples,
        predictions={t: read_predictions(results, t, results.chosen[t], rows, merges) for t in results.targets},
        sidecars=[json.loads(Path(p).read_text(encoding="utf-8")) for p in inputs["sidecars"]],
        disk={name: [Path(p).stat().st_size for p in inputs[name]] for name in ("models", "rows", "merges")},
        statistics=_table(inputs["comparisons"]),
        claims=_table(inputs["claims"]),
        recommendations=_table(inputs["recommendations"]),
        predictor=json.loads(Path(inputs["predictor"]).read_text(encoding="utf-8")),
    )


def _table(path: str) -> pd.DataFrame:
    """Read a table; text columns have empty text where nothing is said, not NaN."""
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(TEXT, "str"))
    text = table.select_dtypes(exclude="number").columns
    return table.fillna(dict.fromkeys(text, ""))


def _mean_matrices(measures: list[str], seeds: list[int], paths: list[str]) -> dict[str, pd.DataFrame]:
    found: dict[str, list[pd.DataFrame]] = {}
    for (measure, _), path in zip(((m, s) for m in measures for s in seeds), paths, strict=True):
        found.setdefault(measure, []).append(read_matrix(path))
    return {m: sum(parts[1:], parts[0]) / np.float64(len(parts)) for m, parts in found.items()}
