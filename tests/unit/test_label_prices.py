"""What merges are worth in labelled sentences: crossings by hand, intervals, the table of a run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.unit.report_run import run_data
from tests.unit.synthetic_runs import Synthetic, settings, wobble
from workflow_scripts.report.figures import worth_in_labels
from workflow_scripts.report.marks import plain
from workflow_scripts.report.sections.prices import in_words, section
from workflow_scripts.report.sections.prices import worth_in_labels as worth_in_labels_said
from workflow_scripts.results.labelled_curves import FEWER, MORE, Worth, worth
from workflow_scripts.results.tables import merge_details
from workflow_scripts.statistics.contrasts import CHOSEN
from workflow_scripts.statistics.label_prices import STEPS, grid, interval, label_prices

SIZES = np.array([16, 32, 64, 128])


@pytest.mark.parametrize(
    ("accuracies", "accuracy", "expected"),
    [
        ([0.5, 0.6, 0.7, 0.8], 0.65, Worth(32 * 2**0.5)),  # half of the way, in log n
        ([0.5, 0.6, 0.7, 0.8], 0.7, Worth(64.0)),
        ([0.5, 0.6, 0.7, 0.8], 0.5, Worth(16.0)),
        ([0.5, 0.6, 0.7, 0.8], 0.49, Worth(16.0, FEWER)),
        ([0.5, 0.6, 0.7, 0.8], 0.81, Worth(128.0, MORE)),
        ([0.5, 0.7, 0.6, 0.8], 0.575, Worth(16 * 2**0.5)),  # falls: 0.7 and 0.6 count as 0.65, half of the way to it
        ([0.5, 0.7, 0.6, 0.8], 0.725, Worth(64 * 2**0.5)),
        ([0.8, 0.6, 0.5, 0.5], 0.7, Worth(128.0, MORE)),  # falls throughout: 0.6 everywhere
        ([0.5, 0.6, 0.6, 0.8], 0.6, Worth(32.0)),  # flat: reached first
    ],
)
def test_a_crossing_by_hand(accuracies, accuracy, expected):
    found = worth(SIZES, np.array(accuracies), accuracy)
    assert found.bound == expected.bound and found.sentences == pytest.approx(expected.sentences)


def test_one_point_gives_a_side_and_no_point_nothing():
    assert worth(np.array([87]), np.array([0.6]), 0.7) == Worth(87.0, MORE)
    assert np.isnan(worth(np.array([]), np.array([]), 0.7).sentences)


def test_the_grid_is_even_in_the_logarithm_and_meets_the_points():
    sizes, weights = grid(np.array([16.0, 64.0, 100.0]))
    assert sizes[[0, STEPS // 2, STEPS, -1]] == pytest.approx([16, 32, 64, 100])
    assert weights.shape == (3, len(sizes)) and weights.sum(0) == pytest.approx(1)


def test_an_interval_is_where_the_difference_may_be_nothing_and_open_where_the_curve_ends():
    ends = np.array([[0.05, 0.2], [-0.05, 0.1], [-0.1, 0.05], [-0.2, -0.01]])
    assert interval(SIZES, ends, Worth(50.0)) == (Worth(32.0), Worth(64.0))
    assert interval(SIZES, ends[1:], Worth(33.0))[0] == Worth(16.0, FEWER)
    assert interval(SIZES[:3], ends[:3], Worth(50.0))[1] == Worth(64.0, MORE)
    assert interval(SIZES[:1], ends[:1], Worth(16.0, MORE)) == (Worth(16.0, MORE),) * 2, "surely beyond the curve"
    assert np.isnan(interval(SIZES, ends * np.nan, Worth(50.0))[0].sentences)


CURVE = {"few_shot_n16": 0.5, "few_shot_n64": 0.7, "few_shot": 0.8}
BASE = {"few_shot_base_n16": 0.3, "few_shot_base_n64": 0.4, "few_shot_base": 0.5}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Eight targets; the merge without labels reaches 60 %, the chosen one is the same."""
    monkeypatch.setattr(
        "tests.unit.synthetic_runs.BASELINES",
        ("self", "best_zero_shot_val", "mean_zero_shot", "english", *CURVE, *BASE),
    )

    def accuracy(key, place, seed):
        return {**CURVE, **BASE}.get(key, 0.6 + (place % 3 - 1) / 50) + wobble(place, seed, key)

    return Synthetic(tmp_path, {"e": settings(similarity="URIEL")}, accuracy, targets=8)


def with_sizes(run):
    """Say with how many sentences each system was trained; a target has 100, the last one 64 less one."""
    results = run.results()
    systems = results.systems
    numbers = systems["system"].str.extract(r"_n(\d+)$")[0].astype(float)
    trained = systems["system"].isin([*CURVE, *BASE])
    results.systems["labelled_sentences"] = numbers.where(~trained | numbers.notna(), 100.0)
    results.__dict__.pop("mean", None)
    return results


def test_the_worth_of_a_runs_merges_across_targets_and_on_each(run):
    results = with_sizes(run)
    table = label_prices(results, run.paths).set_index(["tier", "start", "scope"])
    mean = table.loc[[("none", "few_shot", "across targets")]].iloc[0]
    assert mean["targets"] == 7, "the pivot has no opponent at this level"
    assert mean["experiment"] == "e" and (mean["fewest"], mean["most"]) == (16, 100)
    assert mean["sentences"] == pytest.approx(32, rel=0.15) and mean["low"] < mean["sentences"] < mean["high"]
    assert (mean["bound"], mean["low_bound"], mean["high_bound"]) == ("", "", "")
    base = table.loc[[("none", "few_shot_base", "across targets")]].iloc[0]
    assert (base["sentences"], base["bound"], base["low_bound"], base["high_bound"]) == (100, MORE, MORE, MORE)
    each = table.loc[[("labelled validation", "few_shot", "target")]]
    assert list(each["target"]) == run.names and (each["low"] <= each["sentences"]).all()
    results.systems[["n_effective", "low", "high", "macro_f1", "nll", "ece"]] = 0.1
    details = merge_details(results)
    assert details["worth_in_labels"].between(16, 64).all() and set(details["worth_bound"]) == {""}


def test_a_run_without_trainings_has_no_prices(run):
    assert label_prices(run.results(), run.paths).empty


def test_the_interval_of_the_mean_covers_the_truth(monkeypatch):
    """Targets differ in how good their merge is; the price of the mean accuracy lies within in 93 of 100 runs or more."""
    from workflow_scripts.statistics.across_targets import compare_across
    from workflow_scripts.statistics.differences import Differences

    generator = np.random.default_rng(0)
    sizes, weights = grid(np.array([16.0, 64.0, 256.0]))
    curve, covered = np.array([0.5, 0.6, 0.7]), 0
    for _ in range(300):
        merges = 0.62 + 0.05 * generator.standard_normal(8)
        noisy = curve + 0.03 * generator.standard_normal((8, 3))
        paired = {str(t): Differences.of_numbers(str(t), ((merges[t] - noisy[t]) @ weights)[:, None]) for t in range(8)}
        tested, _ = compare_across(paired, list("abcdefgh"))
        estimate = worth(np.array([16, 64, 256]), noisy.mean(0), merges.mean())
        low, high = interval(sizes, np.array([(e.low, e.high) for e in tested]), estimate)
        covered += low.place <= worth(np.array([16, 64, 256]), curve, 0.62).sentences <= high.place
    assert covered / 300 >= 0.93


def test_the_figure_has_a_line_per_merge_and_a_row_per_target(run):
    results = with_sizes(run)
    prices = label_prices(results, run.paths)
    above, below = worth_in_labels.draw(replace(results, prices=prices)).axes
    assert [label.get_text() for label in below.get_yticklabels()] == run.names
    assert sum("supervision:" in text.get_text() for text in above.get_legend().get_texts()) == 2


ROW = {"sentences": 24.4, "bound": "", "low": 16.0, "low_bound": FEWER, "high": 61.0, "high_bound": ""}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "about 24 [fewer than 16, 61]"),
        ({"low_bound": "", "high": 87.0, "high_bound": MORE}, "about 24 [16, more than 87]"),
        ({"sentences": 16.0, "bound": FEWER}, "fewer than 16 [fewer than 16, 61]"),
        ({"sentences": 16.0, "bound": FEWER, "high": 16.0, "high_bound": FEWER}, "fewer than 16"),
        ({"low": np.nan, "low_bound": "", "high": np.nan}, "about 24"),
    ],
)
def test_a_price_in_words(changes, said):
    assert in_words({**ROW, **changes}) == said


def test_the_first_screen_says_what_merges_are_worth_and_the_section_says_it_for_each_target():
    mean = {
        **ROW,
        "tier": "none",
        "experiment": "average_NXN_k2_exc",
        "scope": "across targets",
        "target": "",
        "targets": 3,
    }
    mean |= {"accuracy": 0.6, "fewest": 16.0, "most": 87.0, "accuracy_fewest": 0.5, "accuracy_most": 0.8}
    each = [{**mean, "scope": "target", "target": target} for target in run_data().results.targets]
    each += [{**row, "tier": "labelled validation", "experiment": CHOSEN} for row in each]
    prices = pd.DataFrame([{**row, "start": start} for row in (mean, *each) for start in ("few_shot", "few_shot_base")])
    data = run_data()
    data = replace(data, results=replace(data.results, prices=prices))
    (sentence,) = worth_in_labels_said(data)
    assert plain(sentence).startswith(
        "The merge that needs no data of the target is worth about 24 [fewer than 16, 61] labelled sentences of the target"
    )
    plot, table = section(data).blocks
    assert "about 24" in plot.alt and len(table.rows) == len(each)
    assert section(run_data()).blocks == [] and worth_in_labels_said(run_data()) == []
