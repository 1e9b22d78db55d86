"""Every system of one target: its own model, the baselines, the merges; one table row each."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.intervals import clustered_accuracy
from workflow_scripts.evaluation.metrics import expected_calibration_error, macro_f1
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.results.ensembles import ensemble_scores

Row = dict[str, Any]
TINY = 1e-12  # a probability of 0 would have an infinite loss
QUALITIES = ("accuracy_validation", "macro_f1", "nll", "ece")


@dataclass(frozen=True)
class System:
    """One system on one target with one seed.

    Attributes
    ----------
    name, tier : str
        What it is (``merge`` or a baseline) and the supervision that it needs.
    experiment : str
        Empty for the baselines that no experiment shapes.
    correct : ndarray of float64, shape (n,)
        Correctness per item; of a mean over models, its mean.
    facts : dict
        Further columns.
    """

    name: str
    tier: str
    experiment: str
    correct: np.ndarray
    facts: Row = field(default_factory=dict)


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


def baselines(data: TargetData) -> Iterator[System]:
    """Yield the baselines that no experiment shapes."""
    others = data.others()
    yield single(data, "self", data.target, "labelled training")
    yield single(data, "best_zero_shot", data.best_on_test(others), "oracle")
    yield single(data, "best_zero_shot_val", data.best_on_validation(others), "labelled validation")
    yield mean_of(data, "mean_zero_shot", others, "none")
    if data.pivot in others:
        yield single(data, "english", data.pivot, "none")


def merge_systems(data: TargetData, entry: Mapping[str, Any], scores: Scores, validation: float) -> Iterator[System]:
    """Yield a merge and the baselines among its own sources."""
    sources, name = [s["locale"] for s in entry["sources"]], entry["experiment"]
    yield scored(data, "merge", entry["tier"], scores, validation, name)
    yield mean_of(data, "source_mean", sources, "none", name)
    yield single(data, "best_source", data.best_on_test(sources), "oracle", name)
    yield single(data, "best_source_val", data.best_on_validation(sources), "labelled validation", name)
    yield single(data, "top1", sources[0], entry["selection_tier"], name)
    yield from ensembles(data, entry)


def ensembles(data: TargetData, entry: Mapping[str, Any]) -> Iterator[System]:
    """Yield the ensembles of a merge's sources, from their stored logits."""
    sources, weights = zip(*((s["locale"], s["weight"]) for s in entry["sources"]), strict=True)
    found = ensemble_scores([data.models[s].logits for s in sources], weights)
    for name, scores in found.items():
        predictions = scores.argmax(1)
        facts: Row = {"macro_f1": macro_f1(predictions, data.labels)}
        if not name.endswith("majority"):  # votes are no probabilities
            facts |= _calibration(np.log(np.maximum(scores, TINY)), predictions, data.labels)
        correct = (predictions == data.labels).astype(float)
        yield System(f"ensemble_{name}", entry["selection_tier"], entry["experiment"], correct, facts)


def scored(
    data: TargetData, name: str, tier: str, scores: Scores, validation: float, experiment: str = "", **facts: str
) -> System:
    """Return the system that one model is: a locale's, or a merged one.

    Parameters
    ----------
    validation : float
        Its validation accuracy.
    **facts : str
        Further columns.
    """
    known = {**_quality(scores, data.labels), "accuracy_validation": validation, **facts}
    return System(name, tier, experiment, scores.correct.astype(float), known)


def single(data: TargetData, name: str, locale: str, tier: str, experiment: str = "") -> System:
    """Return the system that is one locale's model."""
    return scored(data, name, tier, data.models[locale], data.validation[locale], experiment, model=locale)


def mean_of(data: TargetData, name: str, locales: list[str], tier: str, experiment: str = "") -> System:
    """Return the mean over models as a system: its item is the mean correctness."""
    correct = np.mean([data.correct(s) for s in locales], axis=0)
    validation = float(np.mean([data.validation[s] for s in locales]))
    return System(name, tier, experiment, correct, {"accuracy_validation": validation})


def _quality(scores: Scores, labels: np.ndarray) -> Row:
    return {
        "macro_f1": macro_f1(scores.predictions, labels),
        "nll": float(scores.losses.mean(dtype=np.float64)),
        "ece": expected_calibration_error(scores.logits, scores.predictions, labels),
    }


def _calibration(logits: np.ndarray, predictions: np.ndarray, labels: np.ndarray) -> Row:
    return {
        "nll": float(-logits[np.arange(len(labels)), labels].mean()),
        "ece": expected_calibration_error(logits, predictions, labels),
    }


def table_row(target: str, seed: int | str, system: System, clusters: np.ndarray) -> Row:
    """Return a system's table row: accuracy with n, clusters and interval, then its facts."""
    accuracy = asdict(clustered_accuracy(system.correct, clusters))
    head = {"target": target, "experiment": system.experiment, "system": system.name, "tier": system.tier}
    return {**head, "seed": seed, "accuracy": accuracy.pop("value"), **accuracy, **system.facts}


def mean_over_seeds(systems: Iterable[System]) -> System:
    """Return one system's mean over seeds; its item is the mean correctness, its quality the mean quality."""
    found = list(systems)
    facts = {k: float(np.mean([s.facts[k] for s in found])) for k in QUALITIES if k in found[0].facts}
    models = dict.fromkeys(str(s.facts["model"]) for s in found if "model" in s.facts)
    first = found[0]
    correct = np.mean([s.correct for s in found], axis=0)
    return System(
        first.name, first.tier, first.experiment, correct, {**facts, **({"model": "/".join(models)} if models else {})}
    )
