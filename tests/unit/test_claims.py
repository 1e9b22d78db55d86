"""Every claim on runs that were made to support it, to contradict it, and to leave it open."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.unit.synthetic_runs import Synthetic, settings, wobble
from workflow_scripts.findings.claims import merging_pays
from workflow_scripts.findings.claims.ledger import COLUMNS, MODULES, NOT_TESTED, check_claims, read_claims
from workflow_scripts.findings.claims.outcomes import CONTRADICTED, SUPPORTED, correlation, spearman
from workflow_scripts.findings.claims.paired_run import PairedRun
from workflow_scripts.statistics.differences import Differences
from workflow_scripts.statistics.verdicts import CANNOT_TELL

TARGETS = 12
NOISE = [0.1, -0.1, 0.05, -0.05, 0.12, -0.12, 0.02, -0.02, 0.08, -0.08, 0.0, 0.0]  # no effect: the mean is 0


def by_target(numbers) -> dict[str, Differences]:
    """Return one number per target as differences."""
    return {str(i): Differences.of_numbers(str(i), np.array([[v]])) for i, v in enumerate(numbers)}


def noise(place: int) -> float:
    return NOISE[place % TARGETS]


def gain(size: float | None, place: int, seed: int, key: str) -> float:
    """Return a difference of about `size` on every target; None: different on each, 0 on average."""
    return noise(place) if size is None else size + wobble(place, seed, key)


def pair_run(
    folder: Path, first: dict[str, Any], second: dict[str, Any], size: float | None, best: float = 0.6
) -> Synthetic:
    """Return a run whose first experiment is better than its second by `size`."""

    def accuracy(key: str, place: int, seed: int) -> float:
        return 0.6 + gain(size, place, seed, key) if key == "first" else 0.6

    def validation(key: str, place: int, seed: int) -> float:
        return best

    return Synthetic(folder, {"first": first, "second": second}, accuracy, validation, targets=TARGETS)


def effect_run(folder: Path, effect, **more: Any) -> Synthetic:
    """Return a run whose merge is better than the best single model by effect(place, seed)."""

    def accuracy(key: str, place: int, seed: int) -> float:
        return 0.5 + (effect(place, seed) if key == "nxn" else 0)

    return Synthetic(folder, {"nxn": settings()}, accuracy, targets=TARGETS, **more)


def verdict(run: Synthetic, claim: str) -> str:
    """Return the claim's verdict as if it were the only one, after checks of its numbers."""
    outcome = outcome_of(run, claim)
    assert outcome is not None and outcome.low <= outcome.effect <= outcome.high and outcome.n > 0
    return outcome.speaks if outcome.p <= 0.05 and outcome.decisive else CANNOT_TELL


def outcome_of(run: Synthetic, claim: str):
    module, function = next(c["test"] for c in read_claims() if c["claim"] == claim).split(".")
    return getattr(MODULES[module], function)(PairedRun(run.results(), run.paths))


THREE = [(0.05, SUPPORTED), (-0.05, CONTRADICTED), (None, CANNOT_TELL)]
PAIRS = {
    "real_beats_uriel": (settings(similarity="REAL"), settings(similarity="URIEL"), 1),
    "five_beat_three": (settings(k=5), settings(k=3), 1),
    "within_families_first": (settings("hierarchical"), settings("similarity"), 1),
    "dare_destroys": (settings("dare_ties", method_parameters={"drop_rate": 0.5}), settings("average"), -1),
    "ties_preserves_strong": (settings("ties"), settings("average"), 1),
}


@pytest.mark.parametrize(("size", "expected"), THREE)
@pytest.mark.parametrize("claim", PAIRS)
def test_claims_on_pairs_of_experiments(claim, size, expected, tmp_path):
    first, second, sense = PAIRS[claim]
    run = pair_run(tmp_path, first, second, None if size is None else size * sense, best=0.8)
    assert verdict(run, claim) == expected
    if size is not None:
        assert outcome_of(run, claim).effect == pytest.approx(size * sense, abs=0.005)
        assert "+5.0" in outcome_of(run, claim).detail or "-5.0" in outcome_of(run, claim).detail


@pytest.mark.parametrize("claim", PAIRS)
def test_claims_on_pairs_need_the_pair(claim, tmp_path):
    first, second, _ = PAIRS[claim]
    other = {**second, "selector": "sinkhorn"}
    assert outcome_of(pair_run(tmp_path, first, other, 0.05, best=0.8), claim) is None


def test_dare_is_told_by_drop_rate(tmp_path):
    flat, dare = settings("average"), PAIRS["dare_destroys"][0]
    heavy = settings("dare_ties", method_parameters={"drop_rate": 0.9})
    accuracy = {"flat": 0.6, "dare": 0.55, "heavy": 0.4}
    experiments = {"flat": flat, "heavy": heavy, "dare": dare}
    run = Synthetic(tmp_path, experiments, lambda key, place, seed: accuracy.get(key, 0.5), targets=TARGETS)
    outcome = outcome_of(run, "dare_destroys")
    assert outcome.effect == pytest.approx(-0.125)
    assert outcome.detail.endswith("by drop rate 0.5: -5.0, 0.9: -20.0")


def test_ties_is_judged_on_strong_targets_alone(tmp_path):
    first, second, _ = PAIRS["ties_preserves_strong"]
    assert outcome_of(pair_run(tmp_path, first, second, 0.05, best=0.65), "ties_preserves_strong") is None


@pytest.mark.parametrize(("size", "expected"), THREE)
def test_helps_on_average(size, expected, tmp_path):
    run = effect_run(tmp_path, lambda place, seed: gain(size, place, seed, ""))
    assert verdict(run, "helps_on_average") == expected


def test_the_choice_among_merges_is_made_on_validation(tmp_path):
    def accuracy(key: str, place: int, seed: int) -> float:
        return 0.5 + {"nxn": -0.1, "good_on_test": 0.2}.get(key, 0) + (wobble(place, seed) if key == "nxn" else 0)

    def validation(key: str, place: int, seed: int) -> float:
        return 0.9 if key == "nxn" else 0.5

    experiments = {"nxn": settings(), "good_on_test": settings(k=5)}
    run = Synthetic(tmp_path, experiments, accuracy, validation, targets=TARGETS)
    assert verdict(run, "helps_on_average") == CONTRADICTED


@pytest.mark.parametrize(("slope", "expected"), [(-1, SUPPORTED), (1, CONTRADICTED), (0, CANNOT_TELL)])
def test_low_resource_more(slope, expected, tmp_path):
    def effect(place: int, seed: int) -> float:
        return 0.1 + (0.015 * slope * (place - 6) if slope else noise(place)) + wobble(place, seed) / 5

    run = effect_run(tmp_path, effect, languages={"cc100_gib": [2.0**i for i in range(TARGETS)]})
    assert verdict(run, "low_resource_more") == expected
    same = effect_run(tmp_path, effect, languages={"cc100_gib": [3.0] * TARGETS})
    assert outcome_of(same, "low_resource_more") is None


GENERA = ["Germanic"] * 4 + ["Romance"] * 4 + ["Slavic"] * 3 + ["Greek"]


@pytest.mark.parametrize(
    ("means", "spread", "expected"),
    [
        ((0.05, 0.05, 0.05), 0.005, SUPPORTED),
        ((0.2, 0.0, 0.0), 0.005, CONTRADICTED),
        ((0.05, 0.02, 0.08), 0.1, CANNOT_TELL),
    ],
)
def test_families_alike(means, spread, expected, tmp_path):
    def effect(place: int, seed: int) -> float:
        return {"Germanic": means[0], "Romance": means[1], "Slavic": means[2], "Greek": 0.4}[GENERA[place]] + spread * (
            place % 4 - 1.5
        )

    run = effect_run(tmp_path, effect, languages={"genus": GENERA})
    assert verdict(run, "families_alike") == expected
    assert outcome_of(run, "families_alike").n == 11, "a genus of one target is no family"
    alone = effect_run(tmp_path, effect, languages={"genus": list("abcdefghijkl")})
    assert outcome_of(alone, "families_alike") is None


def test_equivalence_is_the_pooled_two_one_sided_tests():
    groups = [[0.01, 0.02, 0.015], [0.012, 0.022, 0.03]]
    shifted = [[v + 0.02 for v in groups[0]], groups[1]]
    one = stats.ttest_ind(shifted[0], shifted[1], alternative="greater").pvalue  # first − second > −0.02
    other = stats.ttest_ind([v - 0.02 for v in groups[0]], groups[1], alternative="less").pvalue
    assert merging_pays._equivalence(groups, 0.02) == pytest.approx(max(one, other))


RULES = {
    # claim: (best source's and own validation accuracy where the rule applies, elsewhere, the sign that it foretells)
    "low_ratio_constructive": ((0.4, 0.9), (0.7, 0.9), 1),
    "high_ratio_destructive": ((0.8, 0.9), (0.5, 0.9), -1),
    "strong_source_destructive": ((0.8, 0.95), (0.6, 0.95), -1),
}


@pytest.mark.parametrize("case", ["holds", "other sign", "no better than elsewhere", "noise"])
@pytest.mark.parametrize("claim", RULES)
def test_rules_of_thumb(claim, case, tmp_path):
    there, elsewhere, sense = RULES[claim]
    applies = [i % 2 == 0 or i > 8 for i in range(TARGETS)]

    def effect(place: int, seed: int) -> float:
        if case == "noise":
            return noise(place)
        inside = {"holds": 0.06, "other sign": -0.06, "no better than elsewhere": 0.06}[case]
        return sense * (inside if applies[place] or case == "no better than elsewhere" else 0) + wobble(place, seed)

    def validation(key: str, place: int, seed: int) -> float:
        best, own = there if applies[place] else elsewhere
        return {"best_zero_shot_val": best, "self": own}.get(key, 0.6)

    run = effect_run(tmp_path, effect, validation=validation)
    expected = {"holds": SUPPORTED, "other sign": CONTRADICTED}.get(case, CANNOT_TELL)
    assert verdict(run, claim) == expected
    assert outcome_of(run, claim).n == sum(applies) and "elsewhere" in outcome_of(run, claim).detail


@pytest.mark.parametrize("claim", RULES)
def test_rules_of_thumb_need_targets_on_both_sides(claim, tmp_path):
    (best, own), _, _ = RULES[claim]
    run = effect_run(tmp_path, wobble, validation=lambda key, p, s: own if key == "self" else best)
    assert outcome_of(run, claim) is None


@pytest.mark.parametrize(("slope", "expected"), [(-1, SUPPORTED), (1, CONTRADICTED), (0, CANNOT_TELL)])
def test_no_dominant_source(slope, expected, tmp_path):
    def effect(place: int, seed: int) -> float:
        return (0.012 * slope * (place - 6) if slope else noise(place)) + wobble(place, seed) / 5

    run = effect_run(tmp_path, effect)
    matrix = pd.DataFrame(0.5, index=run.names, columns=run.names)
    for place, target in enumerate(run.names):  # the sources of later targets are more unequal
        others = [name for name in run.names if name != target]
        matrix.loc[others[0], target] += 0.02 * place
    run.matrix = matrix
    assert verdict(run, "no_dominant_source") == expected


@pytest.mark.parametrize(
    ("beats", "expected"), [("nobody", SUPPORTED), ("all", CONTRADICTED), ("one", CONTRADICTED), ("noise", CANNOT_TELL)]
)
def test_target_included_never_wins(beats, expected, tmp_path):
    def accuracy(key: str, place: int, seed: int) -> float:
        base = 0.7
        if key != "inc":
            return base
        if beats == "noise":
            return base + noise(place) / 8
        wins = beats == "all" or (beats == "one" and place == 3)
        return base + (0.15 if wins else -0.06) + wobble(place, seed) / 5

    run = Synthetic(tmp_path, {"inc": settings(include=True)}, accuracy, targets=TARGETS)
    assert verdict(run, "target_included_never_wins") == expected
    if beats == "one":
        assert run.names[3] in outcome_of(run, "target_included_never_wins").detail
    assert outcome_of(effect_run(tmp_path, wobble), "target_included_never_wins") is None


@pytest.mark.parametrize(("slope", "expected"), THREE)
def test_the_ratio_orders_effects_without_a_cut_off(slope, expected, tmp_path):
    def effect(place: int, seed: int) -> float:
        return (slope * (6 - place) / 3 if slope else noise(place)) + wobble(place, seed) / 5

    def validation(key: str, place: int, seed: int) -> float:
        return {"best_zero_shot_val": 0.4 + 0.02 * place, "self": 0.9}.get(key, 0.6)

    assert verdict(effect_run(tmp_path, effect, validation=validation), "lower_ratio_gains_more") == expected
    same = effect_run(tmp_path, effect, validation=lambda key, place, seed: 0.6)
    assert outcome_of(same, "lower_ratio_gains_more") is None


@pytest.mark.parametrize(("size", "expected"), THREE)
def test_weight_of_the_target_is_judged_apart_from_its_inclusion(size, expected, tmp_path):
    weights = {"light": 0.5, "middle": 2.0, "heavy": 8.0}
    experiments = {n: settings(include=True, target_similarity=w) for n, w in weights.items()}

    def accuracy(key: str, place: int, seed: int) -> float:
        if key in weights:
            return 0.6 + (gain(size, place, seed, "") if key == "heavy" else 0)
        return 0.65

    run = Synthetic(tmp_path, experiments, accuracy, targets=TARGETS)
    assert verdict(run, "target_weight") == expected
    detail = outcome_of(run, "target_weight").detail
    assert "against the target's own model 0.5: -5.0, 2: -5.0, 8: " in detail
    one = Synthetic(tmp_path, {"light": experiments["light"]}, accuracy, targets=TARGETS)
    assert outcome_of(one, "target_weight") is None, "nothing was swept"


@pytest.mark.parametrize(("size", "expected"), THREE)
def test_averaging_dilutes_strong_sources_where_they_are_strong(size, expected, tmp_path):
    def accuracy(key: str, place: int, seed: int) -> float:
        return 0.6 - (gain(size, place, seed, "") if key == "flat" else 0)

    run = Synthetic(tmp_path, {"flat": settings()}, accuracy, targets=TARGETS)
    assert outcome_of(run, "averaging_dilutes_strong") is None, "no source is above 0.7"
    strong = Synthetic(tmp_path, {"flat": settings(), "other": settings("ties")}, accuracy, targets=TARGETS)
    strong.matrix = pd.DataFrame(0.8, index=strong.names, columns=strong.names)
    assert verdict(strong, "averaging_dilutes_strong") == expected
    assert outcome_of(strong, "averaging_dilutes_strong").n == TARGETS


@pytest.mark.parametrize(("picks", "expected"), [("worst", SUPPORTED), ("best", CONTRADICTED), ("mixed", CANNOT_TELL)])
def test_uriel_ranks_poorly(picks, expected, tmp_path):
    run = Synthetic(tmp_path, {"uriel": settings(similarity="URIEL")}, lambda key, p, s: 0.5, targets=TARGETS)
    run.matrix = pd.DataFrame(
        {t: np.arange(TARGETS) / TARGETS for t in run.names}, index=run.names
    )  # later models transfer better

    def sources(name: str, place: int) -> list[str]:
        others = [t for i, t in enumerate(run.names) if i != place]
        kind = {"mixed": "best" if place % 3 else "worst"}.get(picks, picks)
        chosen = others[::-1][:3] if kind == "best" else others[:3]
        return [*chosen[:2], others[5]] if place % 2 else chosen

    run.sources = sources
    assert verdict(run, "uriel_ranks_poorly") == expected
    exc = Synthetic(tmp_path, {"nxn": settings()}, lambda key, p, s: 0.5, targets=TARGETS)
    assert outcome_of(exc, "uriel_ranks_poorly") is None


def test_a_perfect_choice_gains_all(tmp_path):
    run = Synthetic(tmp_path, {"uriel": settings(similarity="URIEL", k=1)}, lambda key, p, s: 0.5, targets=6)
    run.matrix = pd.DataFrame({t: np.arange(6) / 6 for t in run.names}, index=run.names)
    run.sources = lambda name, place: [run.names[5 if place != 5 else 4]]
    assert outcome_of(run, "uriel_ranks_poorly").effect == pytest.approx(1)


# --- statistics that claims share


def test_the_rank_correlation_is_scipy_s():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=7), rng.normal(size=7).round(1)
    outcome = correlation(x, by_target(y), 1, "x")
    expected = stats.spearmanr(x, y)
    assert outcome.effect == pytest.approx(expected.statistic)
    exact = stats.permutation_test((x,), lambda a: spearman(a, y), permutation_type="pairings", n_resamples=np.inf)
    assert outcome.p == pytest.approx(exact.pvalue, abs=1e-9)
    assert outcome.low < outcome.effect < outcome.high


def test_the_interval_of_the_correlation_covers_and_its_test_keeps_its_size():
    rng, runs, n = np.random.default_rng(1), 300, 12
    true = 6 / np.pi * np.arcsin(0.5 / 2)  # Spearman's ρ of normal variables with correlation 0.5

    def estimate(x, y):
        return correlation(x, by_target(y), 1, "")

    covered = rejected = 0
    for _ in range(runs):
        x, e, y = rng.normal(size=(3, n))
        outcome = estimate(x, 0.5 * x + 0.75**0.5 * e)
        covered += outcome.low <= true <= outcome.high
        rejected += estimate(x, y).p <= 0.05
    assert covered / runs >= 0.93 and rejected / runs <= 0.07


# --- the ledger


def test_every_claim_is_complete_and_has_a_function_of_its_own():
    claims = read_claims()
    assert len({c["claim"] for c in claims}) == len({c["test"] for c in claims}) == len(claims) == 17
    for claim in claims:
        assert set(claim) == {"claim", "statement", "wording", "test", "needs"}
        module, function = claim["test"].split(".")
        assert callable(getattr(MODULES[module], function))


def test_the_ledger_corrects_all_claims_together_and_names_what_is_missing(tmp_path):
    run = pair_run(tmp_path, settings(k=5), settings(k=3), 0.05)
    ledger = check_claims(PairedRun(run.results(), run.paths)).set_index("claim")
    assert list(ledger.reset_index().columns) == list(COLUMNS)
    assert ledger.loc["five_beat_three", "verdict"] == SUPPORTED and ledger.loc["five_beat_three", "n"] == TARGETS
    missing = ledger[ledger["verdict"] == NOT_TESTED]
    assert "dare_destroys" in missing.index and missing["effect"].isna().all()
    assert missing["detail"].str.startswith("needs ").all()
    assert "include_target: true" in ledger.loc["target_included_never_wins", "detail"]
    tested = ledger[ledger["verdict"] != NOT_TESTED]
    assert tested["detail"].str.contains("corrected").all() and not ledger["detail"].str.contains("one seed").any()
    assert len(ledger) == 17


def test_one_seed_decides_nothing(tmp_path):
    run = pair_run(tmp_path, settings(k=5), settings(k=3), 0.05)
    run.seeds = [0]
    row = check_claims(PairedRun(run.results(), run.paths)).set_index("claim").loc["five_beat_three"]
    assert (
        row["verdict"] == "one seed: descriptive"
        and row["low"] > 0
        and row["detail"].endswith("(one seed: descriptive)")
    )


def test_few_targets_are_said(tmp_path):
    run = pair_run(tmp_path, settings(k=5), settings(k=3), 0.05)
    run.targets = 4
    row = check_claims(PairedRun(run.results(), run.paths)).set_index("claim").loc["five_beat_three"]
    assert row["verdict"] == CANNOT_TELL and "too few targets" in row["detail"]


def test_three_seeds_that_disagree_cannot_tell(tmp_path):
    def accuracy(key: str, place: int, seed: int) -> float:
        return 0.6 + (0.05 + 0.1 * (seed - 1) + wobble(place, 0) if key == "first" else 0)

    run = Synthetic(tmp_path, {"first": settings(k=5), "second": settings(k=3)}, accuracy, targets=TARGETS)
    outcome = outcome_of(run, "five_beat_three")
    assert outcome.p < 0.01 and outcome.low > 0 and not outcome.decisive


def test_differences_are_means_over_pairs_of_experiments(tmp_path):
    experiments = {"a5": settings("ties", k=5), "a3": settings("ties", k=3), "b5": settings(k=5), "b3": settings(k=3)}
    gains = {"a5": 0.1, "b5": -0.02}
    run = Synthetic(tmp_path, experiments, lambda key, p, s: 0.6 + gains.get(key, 0), targets=4)
    run = PairedRun(run.results(), run.paths)
    pairs = run.differing("num_languages", 5, 3)
    assert sorted(pairs) == [("a5", "a3"), ("b5", "b3")]
    found = run.of_experiments(pairs)
    assert [f.means[0] for f in found.values()] == pytest.approx([0.04] * 4)
