"""Systems that are arithmetic on the stored logits of locales' models: a function each, by its name in the table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from workflow_scripts.evaluation.metrics import expected_calibration_error, macro_f1, probabilities
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.selection.systems import (
    BEST_ELSEWHERE,
    BEST_SINGLE,
    BEST_SINGLE_ORACLE,
    BEST_SOURCE,
    BEST_SOURCE_ORACLE,
    ENGLISH,
    ENSEMBLE,
    MEAN_SINGLE,
    MEAN_SOURCE,
    SELF,
    TOP1,
)

TINY = 1e-12  # a probability of 0 would have an infinite loss
DIGITS = 12  # of a score: a file of text may have changed the last
Name = TypeVar("Name")
Reached = tuple[np.ndarray, dict[str, Any]]  # correctness per item (n,), and further columns


def first_best(scores: Mapping[Name, float], order: Sequence[Name]) -> Name:
    """Return what scores best; of equals, up to rounding, the first in `order`."""
    return max(order, key=lambda name: round(scores[name], DIGITS))


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
    elsewhere : dict of str to float
        What every other locale's model is ahead of their mean on the other targets' validation data.
    pivot : str
    """

    target: str
    seed: int
    table: pd.DataFrame
    models: Mapping[str, Scores]
    validation: Mapping[str, float]
    elsewhere: Mapping[str, float]
    pivot: str

    @property
    def labels(self) -> np.ndarray:
        """Gold labels, shape (n,)."""
        return self.table["label"].to_numpy()

    def correct(self, locale: str) -> np.ndarray:
        """Return a model's correctness per item (n,)."""
        return self.models[locale].correct.astype(float)

    def others(self) -> "Members":
        """Return the models of all locales but the target."""
        locales = [locale for locale in self.models if locale != self.target]
        return Members(self, locales, [1 / len(locales)] * len(locales))

    def sources(self, entry: Mapping[str, Any]) -> "Members":
        """Return the models of a plan entry's sources."""
        return Members(self, [s["locale"] for s in entry["sources"]], [s["weight"] for s in entry["sources"]])

    def best_on_validation(self, locales: Sequence[str]) -> str:
        """Return the locale whose model is best on the target's validation data; ties break by name."""
        return min(locales, key=lambda s: (-self.validation[s], s))

    def single(self, locale: str) -> Reached:
        """Return what one locale's model reaches."""
        return of_scores(self.models[locale], self.labels, self.validation[locale], model=locale)


@dataclass(frozen=True)
class Members:
    """The models that a system is made of, best source first, with their weights (sum 1)."""

    data: TargetData
    locales: Sequence[str]
    weights: Sequence[float]

    @cached_property
    def logits(self) -> list[np.ndarray]:
        """Their logits, each of shape (n, labels)."""
        return [self.data.models[locale].logits for locale in self.locales]

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Their probabilities, float64, shape (models, n, labels)."""
        return np.stack([probabilities(each) for each in self.logits])

    @cached_property
    def votes(self) -> np.ndarray:
        """1 where a model votes for a class, shape (models, n, labels)."""
        return np.eye(self.probabilities.shape[-1])[np.stack([each.argmax(1) for each in self.logits])]


Computation = Callable[[Members], Reached | None]
COMPUTATIONS: dict[str, Computation] = {}


def computes(*systems: str) -> Callable[[Computation], Computation]:
    """Register the computation of systems; it returns None where a run cannot form one."""

    def register(computation: Computation) -> Computation:
        COMPUTATIONS.update(dict.fromkeys(systems, computation))
        return computation

    return register


@computes(SELF)
def own_model(models: Members) -> Reached:
    """Return what the target's own model reaches."""
    return models.data.single(models.data.target)


@computes(ENGLISH)
def pivot(models: Members) -> Reached | None:
    """Return what the pivot's model reaches, if it is among the models."""
    return models.data.single(models.data.pivot) if models.data.pivot in models.locales else None


@computes(BEST_ELSEWHERE)
def best_elsewhere(models: Members) -> Reached | None:
    """Return what the model reaches that is furthest ahead on the other targets' validation data; ties by name."""
    ahead = models.data.elsewhere
    return models.data.single(min(ahead, key=lambda s: (-ahead[s], s))) if ahead else None


@computes(TOP1)
def first(models: Members) -> Reached:
    """Return what the first model reaches."""
    return models.data.single(models.locales[0])


@computes(BEST_SINGLE_ORACLE, BEST_SOURCE_ORACLE)
def best_on_test(models: Members) -> Reached:
    """Return what the model reaches that is best on the test data; ties break by name."""
    return models.data.single(min(models.locales, key=lambda s: (-models.data.correct(s).mean(), s)))


@computes(BEST_SINGLE, BEST_SOURCE)
def best_on_validation(models: Members) -> Reached:
    """Return what the model reaches that is best on the target's validation data; ties break by name."""
    return models.data.single(models.data.best_on_validation(models.locales))


@computes(MEAN_SINGLE, MEAN_SOURCE)
def mean(models: Members) -> Reached:
    """Return the mean over the models: of an item, their mean correctness."""
    correct = np.mean([models.data.correct(s) for s in models.locales], axis=0)
    return correct, {"accuracy_validation": float(np.mean([models.data.validation[s] for s in models.locales]))}


def of_scores(scores: Scores, labels: np.ndarray, validation: float, **facts: str) -> Reached:
    """Return what one model reaches, a locale's or a merged one, given its validation accuracy and further columns."""
    quality = {
        "macro_f1": macro_f1(scores.predictions, labels),
        "nll": float(scores.losses.mean(dtype=np.float64)),
        "ece": expected_calibration_error(scores.logits, scores.predictions, labels),
    }
    return scores.correct.astype(float), {**quality, "accuracy_validation": validation, **facts}


# --- ensembles: several models asked, no merge, and K times the cost of inference

Combination = Callable[[Members], np.ndarray]  # → class scores, float64, shape (n, labels), rows sum to 1


def ensemble(system: str, calibrated: bool = True) -> Callable[[Combination], Combination]:
    """Register an ensemble: a function that returns class scores; votes are no probabilities and not calibrated."""

    def register(combination: Combination) -> Combination:
        @computes(system)
        def _(models: Members) -> Reached:
            scores, labels = combination(models), models.data.labels
            predictions = scores.argmax(1)
            facts: dict[str, Any] = {"macro_f1": macro_f1(predictions, labels)}
            if calibrated:
                logits = np.log(np.maximum(scores, TINY))
                facts["nll"] = float(-logits[np.arange(len(labels)), labels].mean())
                facts["ece"] = expected_calibration_error(logits, predictions, labels)
            return (predictions == labels).astype(float), facts

        return combination

    return register


@ensemble("ensemble_soft")
def soft(models: Members) -> np.ndarray:
    """Return the mean of the models' probabilities."""
    return models.probabilities.mean(0)


@ensemble(ENSEMBLE)
def weighted_soft(models: Members) -> np.ndarray:
    """Return the weighted mean of the models' probabilities."""
    return np.tensordot(np.asarray(models.weights, np.float64), models.probabilities, 1)


@ensemble("ensemble_majority", calibrated=False)
def majority(models: Members) -> np.ndarray:
    """Return the share of the models that vote for a class."""
    return break_ties(models.votes.mean(0), models.probabilities.mean(0))


@ensemble("ensemble_weighted_majority", calibrated=False)
def weighted_majority(models: Members) -> np.ndarray:
    """Return the weight of the models that vote for a class."""
    share = np.asarray(models.weights, np.float64)
    return break_ties(np.tensordot(share, models.votes, 1), models.probabilities.mean(0))


@ensemble("ensemble_logits")
def mean_logits(models: Members) -> np.ndarray:
    """Return the softmax of the mean logits."""
    return probabilities(np.mean([each.astype(np.float64) for each in models.logits], axis=0))


def break_ties(votes: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Return votes with a trace of `tie` (both shape (n, labels), rows sum to 1), too small to overrule any vote.

    Only equal votes change their order by it. Votes that differ by rounding alone are equal.
    """
    return np.round(votes, 9) + 1e-10 * tie
