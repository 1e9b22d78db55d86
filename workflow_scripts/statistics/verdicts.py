"""From raw p to words: corrections for many comparisons, and what a reader may conclude."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.stats import binom
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from workflow_scripts.statistics.across_targets import MANY

LEVEL = 0.05
POWER = 0.8
BETTER, WORSE, NO_DIFFERENCE, CANNOT_TELL = "better", "worse", "no relevant difference", "cannot tell"
TOO_FEW, ONE_SEED = "too few targets to tell", "one seed: descriptive"
HOLM, BENJAMINI_HOCHBERG = "Holm", "BH"
SEEDS = 3  # from so many on, training noise is measured


def adjusted(p: Sequence[float], correction: str) -> np.ndarray:
    """Return p adjusted for their number, by Holm's or Benjamini and Hochberg's step; NaN stays and does not count."""
    values = np.array(p, float)
    is_known = ~np.isnan(values)
    if is_known.any():
        method = {HOLM: "holm", BENJAMINI_HOCHBERG: "fdr_bh"}[correction]
        values[is_known] = multipletests(values[is_known], LEVEL, method)[1]
    return values


def smallest_p(targets: int) -> float:
    """Return the smallest two-sided p that so many targets can give."""
    return 2 / 2**targets if targets < MANY else 0.0


def verdict(
    effect: float,
    intervals: Sequence[tuple[float, float]],
    p: float,
    p_equivalent: float,
    seeds: int,
    too_few: bool = False,
) -> str:
    """Return what a comparison shows: better or worse; else no relevant difference; else that it cannot tell.

    A difference that is surely there is told as such, even if it is surely smaller than the margin.

    Parameters
    ----------
    effect : float
    intervals : sequence of (low, high)
        Over targets or clusters and, with three or more seeds, over targets and seeds: all must exclude 0 for a
        difference; NaN is left out.
    p, p_equivalent : float
        Corrected; of no difference, and of a difference of the margin or more in either direction.
    seeds : int
    too_few : bool
        Whether no p could have reached the corrected level.
    """
    if seeds == 1:
        return ONE_SEED
    if p <= LEVEL and effect != 0 and clear_of_zero(effect, intervals):
        return BETTER if effect > 0 else WORSE
    if p_equivalent <= LEVEL:
        return NO_DIFFERENCE
    return TOO_FEW if too_few else CANNOT_TELL


def clear_of_zero(effect: float, intervals: Sequence[tuple[float, float]]) -> bool:
    """Tell whether all known intervals lie on the effect's side of 0; NaN is left out."""
    intervals_known = [interval for interval in intervals if not np.isnan(interval[0])]
    return all(low > 0 if effect > 0 else high < 0 for low, high in intervals_known)


def seed_interval(means: np.ndarray) -> tuple[float, float]:
    """Return the 95 % t-interval over seeds of a mean difference, from one mean per seed (S,); NaN below three."""
    if len(means) < SEEDS:
        return float("nan"), float("nan")
    half = float(student.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means)))
    return float(means.mean() - half), float(means.mean() + half)


def minimal_effect(error: float, units: int) -> float:
    """Return the smallest difference that a two-sided 5 % t-test finds with 80 % power; NaN where no test can.

    Parameters
    ----------
    error : float
        Standard error of the mean difference.
    units : int
        Targets, or clusters.
    """
    if units < 2 or not error > 0:
        return float("nan")
    return _standardised_effect(units) * error


@cache
def _standardised_effect(units: int) -> float:
    solved = TTestPower().solve_power(nobs=units, alpha=LEVEL, power=POWER)
    return float(np.squeeze(solved)) * float(np.sqrt(units))


def chance_band(improves: np.ndarray, improves_flipped: np.ndarray) -> tuple[int, int]:
    """Return what 95 % of the counts of improved targets are by chance.

    By chance a target's whole vector of differences has either sign. A target counts for certain if it would count
    either way, and is a fair coin if it counts one way only.

    Parameters
    ----------
    improves, improves_flipped : ndarray of bool, shape (T,)
        Does the target count as improved as measured, and with all its differences flipped?
    """
    certain = int((improves & improves_flipped).sum())
    coins = int((improves ^ improves_flipped).sum())
    low, high = binom.ppf([(1 - 0.95) / 2, (1 + 0.95) / 2], coins, 0.5) if coins else (0, 0)
    return certain + int(low), certain + int(high)
