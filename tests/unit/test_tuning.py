"""Tuned systems: what `tune:` expands to, and which member is picked by whose validation data."""

import pytest

from tests.unit.test_config import block, config
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.results.tuned_systems import tuned_entries
from workflow_scripts.study.study import load_study

GRID = {"scaling": [2.0, 0.5, 1.0, 1.5]}
NAME = "ties_tuned-scaling_NXN_k2_exc"


def study(**more):
    return load_study(config(ablations=[tuned_block(**more)]))


def tuned_block(tune=GRID, **more):
    fixed = {"similarity_type": "NXN", "num_languages": 2, "method": "ties"} | more.pop("fixed", {})
    return {"name": "block", "fixed": fixed, "tune": tune, **more}


def test_members_are_experiments_and_the_nearest_to_the_default_comes_first():
    found = study()
    assert list(found.tuned) == [NAME]
    assert found.tuned[NAME].members == [
        "ties_NXN_k2_exc",
        "ties_scaling-0.5_NXN_k2_exc",
        "ties_scaling-1.5_NXN_k2_exc",
        "ties_scaling-2.0_NXN_k2_exc",
    ]
    assert set(found.tuned[NAME].members) == set(found.experiments)
    assert [name for name, spec in found.experiments.items() if spec.plain] == ["ties_NXN_k2_exc"]
    assert found.tuned[NAME].settings["method_parameters"]["scaling"] == "tuned on target"


def test_swept_values_have_tuned_systems_of_their_own_and_blocks_share_members():
    others = tuned_block(name="others", tune_on="others")
    plain = block("plain", method="ties", scaling=2.0, similarity_type="NXN", num_languages=2)
    found = load_study(config(ablations=[tuned_block(sweep={"density": [0.1, 0.2]}), others, plain]))
    assert len(found.experiments) == 8 and len(found.tuned) == 3
    assert "ties_tuned-scaling_others_NXN_k2_exc" in found.tuned
    assert found.experiments["ties_scaling-2.0_NXN_k2_exc"].plain


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tune": {"densty": [0.1]}}, ["ties has no such parameter", "density"]),
        ({"tune": {"density": []}}, ["tune.density is an empty list"]),
        ({"tune": {"density": [0.2, 0.2]}}, ["twice"]),
        ({"tune": {"density": [2.0]}}, ["density", "less than or equal to 1"]),
        ({"fixed": {"scaling": 1.0}}, ["scaling is tuned, and also fixed or swept"]),
        ({"sweep": {"scaling": [1.0]}}, ["scaling is tuned, and also fixed or swept"]),
        ({"tune": {}, "tune_on": "others"}, ["tune_on says by what"]),
        ({"tune_on": "others", "fixed": {"locales": ["de-DE"]}}, ["there is one target only"]),
        ({"fixed": {"similarity_type": "URIEL", "supervision": "none"}}, ["tune_on target", "labelled validation"]),
    ],
)
def test_what_cannot_be_tuned_is_known_before_the_run(more, words):
    with pytest.raises(XlmergeError) as caught:
        study(**more)
    assert all(word in str(caught.value) for word in words), caught.value


def test_tuning_on_others_sees_nothing_of_the_target():
    found = study(fixed={"similarity_type": "URIEL", "supervision": "none"}, tune_on="others")
    assert list(found.tuned) == ["ties_tuned-scaling_others_URIEL_k2_exc"]


MEMBERS = ["one", "half", "two"]
PLAN = {f"{m}/{t}/0": {"experiment": m, "target": t, "seed": 0, "tier": "none"} for m in MEMBERS for t in "abc"}
SCORES = {
    ("a", 0): {"one": 0.5, "half": 0.6, "two": 0.7},
    ("b", 0): {"one": 0.5, "half": 0.9, "two": 0.3},
    ("c", 0): {"one": 0.5, "half": 0.2, "two": 0.5},
}


def picks(on, scores=SCORES):
    system = {"members": MEMBERS, "on": on, "targets": list("abc")}
    entries = tuned_entries(PLAN, {"tuned": system}, scores, [0])
    return {t: entries[f"tuned/{t}/0"]["picked"] for t in "abc" if f"tuned/{t}/0" in entries}, entries


def test_the_best_on_the_target_is_picked_and_ties_go_to_the_first():
    found, entries = picks("target")
    assert found == {"a": "two", "b": "half", "c": "one"}
    assert {e["tier"] for e in entries.values()} == {"labelled validation"}
    assert {e["experiment"] for e in entries.values()} == {"tuned"}


def test_tuning_on_others_leaves_the_target_out():
    found, entries = picks("others")
    assert found == {"a": "half", "b": "two", "c": "half"}  # means of a: .5 .55 .4; b: .5 .4 .6; c: .5 .75 .5
    assert {e["tier"] for e in entries.values()} == {"none"}
    for target in "abc":
        other = {**SCORES, (target, 0): {"one": 0.0, "half": 0.1, "two": 1.0}}
        assert picks("others", other)[0][target] == found[target]


def test_a_member_that_failed_is_not_picked():
    broken = {**SCORES, ("b", 0): {"one": 0.5, "two": 0.3}}
    assert picks("target", broken)[0] == {"a": "two", "b": "one", "c": "one"}
    assert picks("others", broken)[0] == {"a": "one", "b": "two", "c": "one"}
    assert picks("target", {**SCORES, ("b", 0): {}})[0] == {"a": "two", "c": "one"}
