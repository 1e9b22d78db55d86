"""The table of comparisons: which contrasts there are, corrections and verdicts, on runs with known accuracies."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from tests.unit.synthetic_runs import BASELINES, OF_SOURCES, Synthetic, settings, wobble
from workflow_scripts.statistics.comparison import ACROSS, COLUMNS, TARGET, compare_run
from workflow_scripts.statistics.contrasts import PRIMARY, exploratory_contrasts, primary_contrasts
from workflow_scripts.statistics.seeds import crossed
from workflow_scripts.statistics.verdicts import (
    adjusted,
    chance_band,
    minimal_effect,
    seed_interval,
    smallest_p,
    verdict,
)

EXPERIMENTS = {
    "z_random": settings(similarity="RANDOM"),
    "y_uriel": settings(similarity="URIEL"),
    "a_uriel_ties": settings("ties", similarity="URIEL"),
    "embedding": settings(similarity="EMBEDDING"),
    "nxn": settings(),
    "inc": settings(include=True),
}
GAINS = {"y_uriel": 0.06, "a_uriel_ties": 0.02, "z_random": -0.05, "embedding": 0.0, "nxn": 0.09, "inc": 0.1}


def accuracy(key: str, place: int, seed: int) -> float:
    return 0.6 + GAINS.get(key, 0.2 if key == "self" else 0) + (wobble(place, seed, key) if key in GAINS else 0)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    run = Synthetic(tmp_path_factory.mktemp("run"), EXPERIMENTS, accuracy)
    return run.results(), *compare_run(run.results(), run.paths)


def test_the_primary_family_has_one_contrast_per_level_of_supervision(compared):
    _, table, facts = compared
    primary = table[table["family"] == PRIMARY]
    assert list(primary["tier"]) == ["none", "unlabelled", "labelled validation", "labelled training"]
    assert list(primary["contrast"]) == [
        "merge − english", "merge − english", "merge − best_zero_shot_val", "IncTar − self",
    ]  # fmt: skip
    assert list(primary["targets"]) == [11, 11, 12, 12], "the pivot has no such opponent"
    # the first of its tier as the config has it, no control, whatever the alphabet or the labels say
    assert list(primary["experiment"]) == [
        "y_uriel", "embedding", "chosen on validation", "chosen on validation, IncTar",
    ]  # fmt: skip
    np.testing.assert_allclose(primary["effect"], [0.06, 0, 0.09, -0.1], atol=0.004)
    assert list(primary["verdict"]) == ["better", "no relevant difference", "better", "worse"]
    assert (primary["correction"] == "Holm").all() and facts["not_formed"] == []
    np.testing.assert_allclose(primary["p_adjusted"], multipletests(primary["p"], method="holm")[1])
    assert [row["contrast"] for row in facts["primary"]] == list(primary["contrast"])


def test_choices_are_made_on_validation_and_judged_on_test(tmp_path):
    def validation(key: str, place: int, seed: int) -> float:
        return 0.9 if key == "z_random" else accuracy(key, place, seed)

    run = Synthetic(tmp_path, EXPERIMENTS, accuracy, validation)
    (_, _, chosen, _), _ = primary_contrasts(run.results())
    assert {pair[0] for pair in chosen.pairs.values()} == {("z_random", "merge")}
    table, _ = compare_run(run.results(), run.paths)
    assert table[table["family"] == PRIMARY]["effect"].iloc[2] == pytest.approx(-0.05, abs=0.004)


def test_without_the_pivot_the_opponent_is_chosen_on_the_other_targets(tmp_path):
    run = Synthetic(tmp_path, EXPERIMENTS, accuracy, pivot=False)
    primary, _ = primary_contrasts(run.results())
    assert [contrast.baseline for contrast in primary[:2]] == ["best_zero_shot_elsewhere"] * 2
    assert all(len(contrast.pairs) == 12 for contrast in primary)


def test_a_run_that_tunes_the_single_source_is_judged_by_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.unit.synthetic_runs.BASELINES", (*BASELINES, "scaled_top1"))
    run = Synthetic(tmp_path, {"nxn": settings()}, lambda key, p, s: {"nxn": 0.7, "scaled_top1": 0.68}.get(key, 0.6))
    table, _ = compare_run(run.results(), run.paths)
    (row,) = table[table["family"] == PRIMARY].to_dict("records")
    assert (row["contrast"], row["effect"]) == ("merge − scaled_top1", pytest.approx(0.02))
    beside = table[(table["experiment"] == "chosen on validation") & (table["family"] == "exploratory")]
    assert "best_zero_shot_val" in set(beside["baseline"])


def test_beside_a_primary_stand_the_other_opponents_of_the_same_merge(compared, tmp_path, monkeypatch):
    _, table, _ = compared
    beside = table[(table["family"] == "exploratory") & (table["scope"] == ACROSS)].set_index("experiment")
    everywhere = {"english", "best_zero_shot_elsewhere", "top1"}
    assert set(beside.loc["chosen on validation", "baseline"]) == everywhere
    assert set(beside.loc["chosen on validation, IncTar", "baseline"]) == everywhere | {"best_zero_shot_val"}
    assert everywhere <= set(beside.loc["y_uriel", "baseline"])
    monkeypatch.setattr("tests.unit.synthetic_runs.BASELINES", (*BASELINES, "few_shot"))
    monkeypatch.setattr("tests.unit.synthetic_runs.OF_SOURCES", (*OF_SOURCES, "shrunk_top1"))
    found = exploratory_contrasts(Synthetic(tmp_path, EXPERIMENTS, accuracy).results())
    more = {c.baseline for c in found if c.experiment == "chosen on validation"}
    assert more == everywhere | {"few_shot", "shrunk_top1"}
    pairs = next(c for c in found if c.name == "merge − shrunk_top1" and c.experiment == "chosen on validation").pairs
    assert set(pairs.values()) == {(("nxn", "merge"), ("nxn", "shrunk_top1"))}, "of the merge that was chosen"


def test_contrasts_that_a_run_cannot_form_are_named(tmp_path):
    run = Synthetic(tmp_path, {"real": settings(similarity="REAL")}, accuracy, targets=3, seeds=[0])
    found, missing = primary_contrasts(run.results())
    assert found == [] and [m["tier"] for m in missing] == [
        "none", "unlabelled", "labelled validation", "labelled training",
    ]  # fmt: skip
    table, facts = compare_run(run.results(), run.paths)
    assert list(table.columns) == list(COLUMNS) and facts["primary"] == [] and (table["family"] == "exploratory").all()


def test_the_table_is_complete_and_consistent(compared):
    results, table, _ = compared
    across, single = (table[table["scope"] == scope] for scope in (ACROSS, TARGET))
    baselines = ["best_source_val", "top1", "ensemble_weighted_soft", "best_zero_shot_val", "self", "average_all", "english",
                 "best_zero_shot_elsewhere"]  # fmt: skip
    for name in EXPERIMENTS:
        assert sorted(set(across[across["experiment"] == name]["baseline"]) - set(EXPERIMENTS)) == sorted(baselines)
    pairs = across[across["baseline"].isin(EXPERIMENTS)]
    assert set(pairs["contrast"]) == {
        "merge − other similarity",
        "merge − other method",
        "merge − other target in or out",
    }
    gains = pairs["experiment"].map(GAINS) - pairs["baseline"].map(GAINS)
    np.testing.assert_allclose(pairs["effect"], gains, atol=0.006)
    assert len(single) == 2 * len(EXPERIMENTS) * 12
    assert (across["low"] <= across["effect"]).all() and (across["effect"] <= across["high"]).all()
    assert (table["p_adjusted"] >= table["p"] - 1e-12).all()
    for rows in (across[across["family"] == "exploratory"], single):
        np.testing.assert_allclose(rows["p_adjusted"], multipletests(rows["p"], method="fdr_bh")[1])
    row = across[(across["experiment"] == "nxn") & (across["baseline"] == "self")].iloc[0]
    assert (row["targets"], row["n"], row["clusters"], row["seeds"]) == (12, 2400, 2400, 3)
    assert (row["improved"], row["hurt"]) == (0, 12) and row["verdict"] == "worse"
    merged, own = results.of_experiment("nxn")["accuracy"], results.baseline("self")["accuracy"]
    assert row["effect"] == pytest.approx((merged - own).mean())
    expected = stats.ttest_1samp(merged - own, 0).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


def test_the_seeds_have_an_interval_of_their_own(compared):
    results, table, _ = compared
    row = table[(table["experiment"] == "nxn") & (table["baseline"] == "top1") & (table["scope"] == ACROSS)].iloc[0]
    systems = results.systems[(results.systems["experiment"] == "nxn") & (results.systems["seed"] != "mean")]
    wide = systems.pivot_table("accuracy", ["target", "seed"], "system")
    expected = crossed((wide["merge"] - wide["top1"]).unstack().to_numpy())
    assert (row["seed_low"], row["seed_high"]) == pytest.approx((expected.low, expected.high))


def test_supported_needs_the_seeds_too(tmp_path):
    def noisy(key: str, place: int, seed: int) -> float:
        return 0.6 + (0.05 + 0.1 * (seed - 1) + wobble(place, 0) if key == "nxn" else 0)

    run = Synthetic(tmp_path, {"nxn": settings()}, noisy)
    table, _ = compare_run(run.results(), run.paths)
    row = table[table["family"] == PRIMARY].iloc[0]
    assert row["p_adjusted"] < 0.01 and row["low"] > 0 > row["seed_low"] and row["verdict"] == "cannot tell"


def test_one_seed_is_descriptive_and_few_targets_cannot_tell(tmp_path):
    for seeds, targets, expected in (([0], 12, "one seed: descriptive"), ([0, 1], 5, "too few targets to tell")):
        run = Synthetic(tmp_path, EXPERIMENTS, accuracy, seeds=seeds, targets=targets)
        table, _ = compare_run(run.results(), run.paths)
        primary = table[table["family"] == PRIMARY]
        told = set(primary["verdict"]) - {"no relevant difference"}  # few targets can show that there is none
        assert told == {expected} and primary["p"].notna().all()


def test_the_best_on_test_stands_beside_its_chance(compared):
    _, table, facts = compared
    row = table[table["experiment"] == "chosen on test"].iloc[0]
    assert row["improved"] == 12 and row["tier"] == "oracle"
    assert (row["improved_chance_low"], row["improved_chance_high"]) == (3, 9)
    assert facts["best_on_test"]["chance"] < facts["best_on_test"]["effect"] == row["effect"]
    assert facts["best_on_test"]["merges"] == 3, "random and embedding are weak, IncTar sees more"


def test_without_a_merge_that_contends_there_is_no_best(tmp_path):
    run = Synthetic(tmp_path, {"z_random": EXPERIMENTS["z_random"]}, accuracy)
    table, facts = compare_run(run.results(), run.paths)
    assert facts["best_on_test"] is None and "oracle" not in set(table["tier"])


def test_families_are_drawn_from_twenty_targets_on(tmp_path):
    families = [f"family {i % 12}" for i in range(21)]
    run = Synthetic(tmp_path, {"nxn": settings()}, accuracy, targets=21, languages={"family": families})
    table, _ = compare_run(run.results(), run.paths)
    across = table[(table["scope"] == ACROSS) & (table["tier"] != "oracle")]
    assert across["family_low"].notna().all() and across["test"].str.contains("bootstrap").all()


def test_the_same_run_gives_the_same_table(tmp_path, compared):
    run = Synthetic(tmp_path, EXPERIMENTS, accuracy)
    pd.testing.assert_frame_equal(compare_run(run.results(), run.paths)[0], compared[1])


# --- corrections, power, chance


def test_adjusted_p_are_those_by_hand():
    p = [0.01, 0.04, 0.03, np.nan]
    np.testing.assert_allclose(adjusted(p, "Holm"), [0.03, 0.06, 0.06, np.nan])
    np.testing.assert_allclose(adjusted(p, "BH"), [0.03, 0.04, 0.04, np.nan])
    assert np.isnan(adjusted([np.nan], "BH")).all()


def test_verdicts():
    wide, narrow, none = (-0.1, 0.3), (0.05, 0.15), (np.nan, np.nan)
    assert verdict(0.1, [narrow, none], 0.01, 0.9, 2) == "better"
    assert verdict(0.1, [narrow, wide], 0.01, 0.9, 3) == "cannot tell"
    assert verdict(0.1, [narrow, narrow], 0.2, np.nan, 3) == "cannot tell"
    assert verdict(-0.1, [(-0.15, -0.05), none], 0.01, 0.9, 2) == "worse"
    assert verdict(0.1, [narrow, none], 0.2, 0.9, 2, too_few=True) == "too few targets to tell"
    assert verdict(0.1, [narrow, none], 0.01, 0.01, 1) == "one seed: descriptive"
    assert verdict(0.001, [(-0.01, 0.01), none], 0.8, 0.03, 2) == "no relevant difference"
    assert verdict(0.001, [(-0.01, 0.01), none], 0.8, 0.03, 2, too_few=True) == "no relevant difference"
    assert verdict(0.01, [(0.005, 0.015), none], 0.01, 0.01, 2) == "better", "surely there, though surely small"
    assert smallest_p(6) == 2 / 64 and smallest_p(20) == 0


def test_the_seed_interval_needs_three_seeds():
    assert np.isnan(seed_interval(np.array([0.1, 0.2]))).all()
    values = np.array([0.1, 0.2, 0.4])
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert seed_interval(values) == pytest.approx((expected.low, expected.high))


def test_the_minimal_effect_is_found_in_80_percent_of_runs():
    rng, units, sd = np.random.default_rng(0), 9, 0.03
    effect = minimal_effect(sd / np.sqrt(units), units)
    found = stats.ttest_1samp(rng.normal(effect, sd, (4000, units)), 0, axis=1).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.02)
    assert TTestPower().power(effect / sd, units, 0.05) == pytest.approx(0.8, abs=1e-3)
    for few in (2, 3, 49):
        power = TTestPower().power(minimal_effect(1 / np.sqrt(few), few), few, 0.05)
        assert power == pytest.approx(0.8, abs=1e-3)
    assert all(np.isnan(minimal_effect(*given)) for given in ((0.1, 1), (np.nan, 9), (0.0, 9)))


def test_the_chance_band_of_counts_is_that_of_all_flips():
    means = np.array([0.1, -0.2, 0.3, 0, 0.05, 0.2, 0.1])
    counts = [int((np.array(s) * means > 0).sum()) for s in itertools.product((-1, 1), repeat=7)]
    low, high = chance_band(means > 0, means < 0)
    assert (low, high) == tuple(np.quantile(counts, [0.025, 0.975], method="inverted_cdf"))
    assert chance_band(np.array([True, True]), np.array([True, True])) == (2, 2)
    assert chance_band(np.zeros(3, bool), np.zeros(3, bool)) == (0, 0)
