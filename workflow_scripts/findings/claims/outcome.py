"""What a run says of a claim."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.core.words import bracketed
from workflow_scripts.statistics.verdicts import CONTRADICTED, SUPPORTED, clear_of_zero

Interval = tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """An estimate, and what it would say of the claim if it were certain.

    Attributes
    ----------
    effect, low, high, p : float
        With a 95 % interval; p before correction, two-sided where the claim has a direction.
    n : int
    unit : str
        What n counts.
    speaks : {"supported", "contradicted"}
    decisive : bool
        Do all intervals exclude what the claim is tested against?
    detail : str
        A sentence with the numbers.
    """

    effect: float
    low: float
    high: float
    p: float
    n: int
    unit: str
    speaks: str
    decisive: bool
    detail: str


def speaks(effect: float, sense: int) -> str:
    """Return what an effect says of a claim that expects one of this sign (+1 or −1)."""
    return SUPPORTED if effect * sense > 0 else CONTRADICTED


def excludes_zero(effect: float, intervals: Sequence[Interval]) -> bool:
    """Tell whether all known intervals lie on the effect's side of 0, and at least one is known."""
    known = any(not np.isnan(low) for low, _ in intervals)
    return known and effect != 0 and clear_of_zero(effect, intervals)


def points(effect: float, low: float, high: float) -> str:
    """Return a difference of accuracies in points with its interval."""
    text = f"{100 * effect:+.1f} points"
    return text if np.isnan(low) else f"{text} {bracketed(low, high)}"
