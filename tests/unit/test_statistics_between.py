"""Experiments against each other: which pairs are compared, and which way round."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

from workflow_scripts.core.atomic import for_json
from workflow_scripts.findings.predictor.regret import means_over_targets
from workflow_scripts.statistics.contrasts import between_experiments
from workflow_scripts.statistics.resampling import studentised

PLAIN = {
    "method": "average", "method_parameters": {}, "similarity_type": "NXN", "selector": "top_k",
    "selector_parameters": {}, "num_languages": 3, "include_target": False, "target_similarity": 1.0,
    "compatibility": False,
}  # fmt: skip
EXPERIMENTS = {
    "plain": PLAIN,
    "five": {**PLAIN, "num_languages": 5},
    "all": {**PLAIN, "num_languages": "all"},
    "inc": {**PLAIN, "include_target": True, "target_similarity": 0.5},
    "ties": {**PLAIN, "method": "ties", "method_parameters": {"density": 0.2}},
    "dense": {**PLAIN, "method": "ties", "method_parameters": {"density": 0.9}},
    "far": {**PLAIN, "method": "ties", "method_parameters": {"density": 0.2}, "num_languages": 5},
    "typology": {**PLAIN, "similarity_type": "URIEL"},
}
TIERS = dict.fromkeys(EXPERIMENTS, ("labelled validation", "labelled validation"))


def measure(experiment: str) -> str:
    return EXPERIMENTS[experiment]["similarity_type"].lower()


def compared(targets: dict[str, list[str]]) -> dict[tuple[str, str], object]:
    tiers = TIERS | {"inc": ("labelled training", "labelled training")}
    results = SimpleNamespace(experiments=EXPERIMENTS, targets_of=targets, tiers=tiers, measure=measure)
    return {(c.experiment, c.baseline): c for c in between_experiments(results)}


def test_pairs_that_differ_in_one_thing_what_is_asked_about_first() -> None:
    found = compared({name: ["de-DE", "sw-KE"] for name in EXPERIMENTS})
    assert {pair: c.name.removeprefix("merge − other ") for pair, c in found.items()} == {
        ("five", "plain"): "number of sources",
        ("all", "plain"): "number of sources",
        ("all", "five"): "number of sources",
        ("far", "ties"): "number of sources",
        ("inc", "plain"): "target in or out",
        ("ties", "plain"): "method",
        ("dense", "plain"): "method",
        ("ties", "dense"): "method",
        ("far", "five"): "method",
        ("plain", "typology"): "similarity",
    }
    assert found["inc", "plain"].tier == "labelled training"
    assert found["five", "plain"].pairs["de-DE"] == (("five", "merge"), ("plain", "merge"))
    assert {c.family for c in found.values()} == {"exploratory"} and not any(c.each_target for c in found.values())


def test_only_common_targets_count() -> None:
    targets = {name: ["de-DE"] for name in EXPERIMENTS} | {"five": ["sw-KE"], "ties": ["de-DE", "sw-KE"]}
    found = compared(targets)
    assert ("five", "plain") not in found
    assert list(found["ties", "plain"].pairs) == ["de-DE"]


def test_draws_without_spread_leave_an_interval_open_rather_than_undefined() -> None:
    quotients = np.concatenate([np.full(400, -np.inf), np.linspace(-2, 2, 9600)])
    found = studentised(-0.003, 0.001, quotients, "studentised bootstrap over targets")
    assert found.high == np.inf and found.low < -0.003


def test_json_has_null_for_what_is_missing_undefined_or_open() -> None:
    found = for_json({"p": 0.5, "n": 3, "text": "x", "rows": [{"low": -np.inf, "high": np.nan, "count": pd.NA}]})
    assert found == {"p": 0.5, "n": 3, "text": "x", "rows": [{"low": None, "high": None, "count": None}]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_interval_of_a_mean_whose_draws_have_no_spread_can_be_written() -> None:
    values = pd.DataFrame({"regret": [0.0] * 19 + [0.1], "more": np.linspace(0, 1, 20)}, index=range(20))
    means = means_over_targets(values)
    assert not np.isfinite([means[0]["low"], means[0]["high"]]).all(), "most draws are all alike"
    assert json.dumps(for_json(means), allow_nan=False)
