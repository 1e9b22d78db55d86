"""What a run says of a claim: estimates over targets, and how they speak."""

from collections.abc import Collection, Mapping, Sequence, Sized
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm, permutation_test, rankdata, ttest_ind

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.words import bracketed
from workflow_scripts.statistics.across_targets import common_variance, compare_across
from workflow_scripts.statistics.differences import Differences, shared_clusters
from workflow_scripts.statistics.one_target import MARGIN
from workflow_scripts.statistics.seeds import crossed, not_equivalent
from workflow_scripts.statistics.verdicts import (
    LEVEL,
    clear_of_zero,
    seed_interval,
    smallest_p,
)

Interval = tuple[float, float]
SUPPORTED, CONTRADICTED = "supported", "contradicted"  # of a claim
SIDE = 3  # fewest targets on each side of a threshold
CORRELATED = 5  # fewest targets for a rank correlation: 2/5! is the smallest p
NORMAL = float(norm.ppf(0.975))


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
    p_equivalent : float
        Of a difference of the margin or more in either direction; NaN where the effect is no difference of accuracies.
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
    p_equivalent: float = float("nan")


def speaks(effect: float, sense: int) -> str:
    """Return what an effect says of a claim that expects one of this sign (+1 or −1)."""
    return SUPPORTED if effect * sense > 0 else CONTRADICTED


def excludes_zero(effect: float, intervals: Sequence[Interval]) -> bool:
    """Tell whether all known intervals lie on the effect's side of 0, and at least one is known."""
    any_known = any(not np.isnan(low) for low, _ in intervals)
    return any_known and effect != 0 and clear_of_zero(effect, intervals)


def effect_in_points(effect: float, low: float, high: float) -> str:
    """Return a difference of accuracies in points with its interval."""
    text = f"{100 * effect:+.1f} points"
    return text if np.isnan(low) else f"{text} {bracketed(low, high)}"


def values(differences: Mapping[str, Differences]) -> tuple[np.ndarray, np.ndarray]:
    """Return the difference of each target (T,), and per seed (S, T)."""
    return np.array([f.means[0] for f in differences.values()]), np.array([f.seeds[0] for f in differences.values()]).T


def mean_over_targets(differences: Mapping[str, Differences], sense: int, what: str, margin: float = MARGIN) -> Outcome:
    """Return the mean over targets of a difference, which the claim expects to have the sign `sense`.

    With three or more seeds, both intervals count: that over targets, and that over targets and seeds.
    """
    estimate = compare_across(differences, ["" for _ in differences], margin)[0][0]
    common = common_variance(list(differences.values()))[0] if shared_clusters(differences) else 0.0
    over_seeds = crossed(values(differences)[1].T, common, margin)
    shown = effect_in_points(estimate.effect, estimate.low, estimate.high)
    few = "; too few targets to tell" if smallest_p(len(differences)) > LEVEL else ""
    return Outcome(
        effect=estimate.effect,
        low=estimate.low,
        high=estimate.high,
        p=estimate.p,
        n=len(differences),
        unit="targets",
        speaks=speaks(estimate.effect, sense),
        decisive=excludes_zero(estimate.effect, [(estimate.low, estimate.high), (over_seeds.low, over_seeds.high)]),
        detail=f"{what}: {shown} over {count(differences)}{few}",
        p_equivalent=not_equivalent([estimate, over_seeds]),
    )


def correlation(x: np.ndarray, differences: Mapping[str, Differences], sense: int, what: str) -> Outcome | None:
    """Return Spearman's rank correlation of `x` (T,) with a difference; None below five targets or for a constant.

    p: permutations of the pairing, all of them or 9 999 seeded ones. Interval: Fisher's z with the error of Bonett and
    Wright (2000). With three or more seeds there is a t-interval over the seeds' correlations, too.
    """
    y, per_seed = values(differences)
    if len(x) < CORRELATED or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    rho, centred = spearman(x, y), rankdata(y) - (len(y) + 1) / 2
    test = permutation_test(
        (rankdata(x),),
        lambda ranks, axis=-1: (ranks * centred).sum(axis),
        permutation_type="pairings",
        rng=np.random.default_rng(derive_seed("claims", what)),
    )
    with np.errstate(divide="ignore"):  # a perfect correlation
        z = np.arctanh(rho)
    error = np.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    low, high = (float(np.tanh(z + side * NORMAL * error)) for side in (-1, 1))
    over_seeds = seed_interval(np.array([spearman(x, each) for each in per_seed]))
    return Outcome(
        effect=rho,
        low=low,
        high=high,
        p=float(test.pvalue),
        n=len(x),
        unit="targets",
        speaks=speaks(rho, sense),
        decisive=excludes_zero(rho, [(low, high), over_seeds]),
        detail=f"{what}: rank correlation {rho:+.2f} [{low:+.2f}, {high:+.2f}] over {count(x)}",
    )


def count(targets: Sized) -> str:
    """Return how many targets these are, in words."""
    return f"{len(targets)} target{'' if len(targets) == 1 else 's'}"


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Return the rank correlation; 0 where all values of one are equal."""
    return 0.0 if np.ptp(x) == 0 or np.ptp(y) == 0 else float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def rule_of_thumb(
    effects: Mapping[str, Differences], applies: Collection[str], sense: int, rule: str, margin: float = MARGIN
) -> Outcome | None:
    """Return whether merging does what a rule foretells; None with fewer than three targets on either side of it.

    The rule holds if merging has this sign on the targets that it applies to *and* more so than elsewhere (Welch's t):
    of both p the larger one counts. It is contradicted if merging has the other sign there.
    """
    inside = {t: effect for t, effect in effects.items() if t in applies}
    outside = {t: effect for t, effect in effects.items() if t not in applies}
    if min(len(inside), len(outside)) < SIDE:
        return None
    here, elsewhere = values(inside)[0], values(outside)[0]
    outcome = mean_over_targets(inside, sense, f"merging where {rule}", margin)
    outcome = replace(outcome, detail=f"{outcome.detail}, {100 * elsewhere.mean():+.1f} points elsewhere")
    if outcome.speaks != SUPPORTED:
        return outcome
    welch = float(np.nan_to_num(ttest_ind(here, elsewhere, equal_var=False).pvalue, nan=1.0))
    return replace(outcome, p=max(outcome.p, welch if (here.mean() - elsewhere.mean()) * sense > 0 else 1.0))
