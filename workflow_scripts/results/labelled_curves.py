"""What an accuracy is worth in labelled sentences: where the curve of training on more and more of them reaches it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from workflow_scripts.results.target_table import LABELLED
from workflow_scripts.selection.systems import FEW_SHOT, FEW_SHOT_BASE, system

STARTS = (FEW_SHOT, FEW_SHOT_BASE)  # of the curves that give merges their price
FEWER, MORE = "fewer than", "more than"


@dataclass(frozen=True)
class Worth:
    """A number of labelled sentences, or an end of the curve, beyond which it lies.

    Attributes
    ----------
    sentences : float
        NaN where nothing is known.
    bound : str
        Empty, or on which side of it the number lies: ``fewer than``, ``more than``.
    """

    sentences: float
    bound: str = ""

    @property
    def place(self) -> float:
        """The number, infinite beyond the curve's ends: to compare by."""
        return {FEWER: -np.inf, MORE: np.inf}.get(self.bound, self.sentences)


UNPRICED = Worth(float("nan"))


def worth(sizes: np.ndarray, accuracies: np.ndarray, accuracy: float) -> Worth:
    """Return with how many sentences a curve first reaches an accuracy.

    The curve is made to never fall (isotonic regression, Barlow et al. 1972) and is linear in log n between its points.

    Parameters
    ----------
    sizes, accuracies : ndarray, shape (k,)
        The curve's points, fewest sentences first.
    accuracy : float

    Examples
    --------
    >>> worth(np.array([16, 64]), np.array([0.5, 0.7]), 0.6)
    Worth(sentences=32.0, bound='')
    """
    if len(sizes) == 0 or np.isnan(accuracy):
        return UNPRICED
    logs = np.log(sizes)
    fitted = IsotonicRegression().fit_transform(logs, accuracies)
    if accuracy < fitted[0]:
        return Worth(float(sizes[0]), FEWER)
    if accuracy > fitted[-1]:
        return Worth(float(sizes[-1]), MORE)
    after = int(np.argmax(fitted >= accuracy))
    if after == 0:
        return Worth(float(sizes[0]))
    before = after - 1
    share = (accuracy - fitted[before]) / (fitted[after] - fitted[before])
    return Worth(float(np.exp(logs[before] + share * (logs[after] - logs[before])).round(6)))


def labelled_curves(systems: pd.DataFrame, start: str) -> dict[str, pd.DataFrame]:
    """Return target → the points of a curve, fewest sentences first: ``system``, ``sentences``, ``accuracy``.

    Parameters
    ----------
    systems : DataFrame
        Rows of the evaluations, of one seed or of the means over seeds.
    start : str
        ``few_shot`` or ``few_shot_base``.
    """
    if LABELLED not in systems:
        return {}
    rows = systems[systems[LABELLED].notna()]
    rows = rows[[system(name).name == start for name in rows["system"]]].rename(columns={LABELLED: "sentences"})
    points = rows[["target", "system", "sentences", "accuracy"]].sort_values("sentences")
    return {str(target): of_target.drop(columns="target") for target, of_target in points.groupby("target")}


def price(curve: pd.DataFrame | None, accuracy: float) -> Worth:
    """Return what an accuracy is worth by the points of a curve; nothing is known without one."""
    if curve is None:
        return UNPRICED
    return worth(curve["sentences"].to_numpy(float), curve["accuracy"].to_numpy(float), accuracy)
