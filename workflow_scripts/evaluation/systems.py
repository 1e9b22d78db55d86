"""Every system of one target: its own model, the baselines, the merges; one table row each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.analysis.intervals import clustered_accuracy
from workflow_scripts.evaluation.metrics import expected_calibration_error, macro_f1
from workflow_scripts.evaluation.packs import Scores

Row = dict[str, Any]
ScoresOf = Callable[[str, int], Scores]


@dataclass(frozen=True)
class TargetData:
    """What is known about one target and one seed.

    Attributes
    ----------
    target : str
    seed : int
    table : DataFrame
        The target's test examples.
    models : dict of str to Scores
        Test scores of every locale's model on the target.
    validation : dict of str to float
        Validation accuracy of every locale's model on the target.
    pivot : str
    """

    target: str
    seed: int
    table: pd.DataFrame
    models: Mapping[str, Scores]
    validation: Mapping[str, float]
    pivot: str

    @property
    def labels(self) -> np.ndarray:
        """Gold labels, shape (n,)."""
        return self.table["label"].to_numpy()

    def correct(self, locale: str) -> np.ndarray:
        """Return a model's correctness per item (n,)."""
        return self.models[locale].correct.astype(float)

    def others(self) -> list[str]:
        """Return all locales but the target."""
        return [locale for locale in self.models if locale != self.target]

    def best_on_validation(self, locales: list[str]) -> str:
        """Return the locale whose model is best on the target's validation data; ties break by name."""
        return min(locales, key=lambda s: (-self.validation[s], s))

    def best_on_test(self, locales: list[str]) -> str:
        """Return the locale whose model is best on the test data: an oracle."""
        return min(locales, key=lambda s: (-self.correct(s).mean(), s))


def baseline_rows(data: TargetData) -> Iterator[Row]:
    """Yield the baselines that no experiment shapes."""
    others = data.others()
    yield single(data, "self", data.target, "labelled training")
    yield single(data, "best_zero_shot", data.best_on_test(others), "oracle")
    yield single(data, "best_zero_shot_val", data.best_on_validation(others), "labelled validation")
    yield mean_of(data, "mean_zero_shot", others, "none")
    if data.pivot in others:
        yield single(data, "english", data.pivot, "none")


def merge_rows(data: TargetData, entry: Mapping[str, Any], scores: Scores, validation: float) -> Iterator[Row]:
    """Yield a merge and the baselines among its own sources."""
    sources = [s["locale"] for s in entry["sources"]]
    most_similar = entry["sources"][0]["locale"]
    experiment = {"experiment": entry["experiment"]}
    row = {**_row(data, "merge", entry["tier"], scores.correct), **_quality(scores, data.labels)}
    yield {**row, "accuracy_validation": validation, **experiment}
    yield {**mean_of(data, "source_mean", sources, "none"), **experiment}
    yield {**single(data, "best_source", data.best_on_test(sources), "oracle"), **experiment}
    yield {**single(data, "best_source_val", data.best_on_validation(sources), "labelled validation"), **experiment}
    yield {**single(data, "top1", most_similar, entry["tier"]), **experiment}


def single(data: TargetData, system: str, locale: str, tier: str) -> Row:
    """Return the row of one locale's model."""
    row = _row(data, system, tier, data.correct(locale))
    quality = _quality(data.models[locale], data.labels)
    return {**row, **quality, "model": locale, "accuracy_validation": data.validation[locale]}


def mean_of(data: TargetData, system: str, locales: list[str], tier: str) -> Row:
    """Return the row of a mean over models: its item is the mean correctness."""
    correct = np.mean([data.correct(s) for s in locales], axis=0)
    return {**_row(data, system, tier, correct), "accuracy_validation": float(np.mean([data.validation[s] for s in locales]))}


def _row(data: TargetData, system: str, tier: str, correct: np.ndarray) -> Row:
    accuracy = asdict(clustered_accuracy(correct, data.table["cluster"].to_numpy()))
    accuracy["accuracy"] = accuracy.pop("value")
    return {"target": data.target, "seed": data.seed, "system": system, "tier": tier, **accuracy}


def _quality(scores: Scores, labels: np.ndarray) -> Row:
    return {
        "macro_f1": macro_f1(scores.predictions, labels),
        "nll": float(scores.losses.mean()),
        "ece": expected_calibration_error(scores.logits, scores.predictions, labels),
    }
