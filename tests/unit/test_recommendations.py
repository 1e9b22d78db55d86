"""Advice per target: chosen on validation data, judged on test data, never the other way round."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.unit.synthetic_run import synthetic_evidence
from workflow_scripts.findings.predictor.recommendations import COLUMNS, FINE_TUNE_BELOW, confidence, recommendations

DECISIONS = ["target", "tier", "primary", "advice", "what", "alternative", "validation_accuracy", "reason"]


def primary(evidence):
    table = recommendations(evidence)
    return table[table["primary"]].set_index("target")


def alternating(experiment, similarity):
    return 0.2 if experiment == "near" else -0.2


def test_one_row_per_target_and_tier_in_the_contracts_columns():
    table = recommendations(synthetic_evidence(4, alternating))
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 8 and set(table["tier"]) == {"none", "labelled validation"}  # nothing here is unlabelled
    assert table["primary"].sum() == 4 and set(table["confidence"]) <= {"high", "medium", "low"}
    assert (table["low"] <= table["expected_accuracy"]).all() and (table["expected_accuracy"] <= table["high"]).all()


def test_a_good_merge_is_advised_and_its_accuracy_is_that_on_test_data():
    evidence = synthetic_evidence(4, alternating, seeds=3)
    found = primary(evidence)
    assert set(found["advice"]) == {"merge"} and set(found["what"]) == {"near"}
    assert set(found["confidence"]) == {"high"}
    for target, row in found.iterrows():
        assert row["expected_accuracy"] == pytest.approx(evidence.correct(target, ("near", "merge")).mean())
        assert row["difference"] == pytest.approx(row["expected_accuracy"] - row["best_source_accuracy"])
        assert row["gap_to_self"] == pytest.approx(row["self_accuracy"] - row["expected_accuracy"])
        assert f"{100 * row['validation_accuracy']:.1f} %" in row["reason"]


def test_bad_merges_are_advised_against():
    found = primary(synthetic_evidence(4, lambda e, s: -0.2))
    assert set(found["advice"]) == {"single source"} and (found["what"] == found["best_source"]).all()
    assert set(found["confidence"]) == {"medium"}, "one seed confirms nothing for certain"


def test_the_targets_own_model_is_never_an_option():
    table = recommendations(synthetic_evidence(4, lambda e, s: 0.28 if e == "own" else -0.05))
    assert not table["what"].str.contains("own").any() and (table["what"] != table["target"]).all()


def test_without_labels_the_other_targets_choose():
    table = recommendations(synthetic_evidence(5, alternating))
    none = table[table["tier"] == "none"]
    assert set(none["what"]) == {"near"} and none["reason"].str.startswith("On the other targets'").all()


def test_nothing_good_enough_needs_fine_tuning():
    evidence = synthetic_evidence(4, lambda e, s: -0.3)
    for validation in evidence.validation.values():  # every other model is poor on every target's validation data
        for key, correct in validation.correct.items():
            correct[:] = np.arange(len(correct)) % 4 == 0 if key[0] != "self" else True
    found = primary(evidence)
    assert set(found["advice"]) == {"fine-tune needed"}
    bar = FINE_TUNE_BELOW * 0.9  # own models reach 0.9
    for row in found.itertuples():
        assert f"{100 * bar:.1f} %" in row.reason and row.what == row.best_source
        assert row.confidence == ("medium" if row.expected_accuracy < bar and row.difference > 0 else "low")


def test_what_to_take_until_fine_tuned_is_trusted_no_more_than_against_its_alternative():
    evidence = synthetic_evidence(4, lambda e, s: 0.11)  # the merges are 11 points above the source, on test data
    for validation in evidence.validation.values():
        for key, correct in validation.correct.items():
            correct[:] = np.arange(len(correct)) % 4 == 0 if key[0] != "self" else True
    rows = evidence.results.systems
    rows.loc[rows["system"] == "merge", "accuracy_validation"] = 0.1  # and below it on validation data
    for items in evidence.items.values():
        for key, correct in items.correct.items():
            if key[1] != "merge":
                items.correct[key] = np.where(np.arange(len(correct)) < 0.4 * len(correct), 1, 0).astype(np.float32)
    found = primary(evidence)
    assert set(found["advice"]) == {"fine-tune needed"} and (found["what"] == found["best_source"]).all()
    assert (found["expected_accuracy"] < FINE_TUNE_BELOW * 0.9).all(), "the need itself is confirmed"
    assert (found["difference"] < 0).all() and set(found["confidence"]) == {"low"}


def test_test_results_never_touch_the_advice():
    evidence, changed = (synthetic_evidence(6, lambda e, s: 0.5 - s / 2 if e == "near" else 0.02) for _ in range(2))
    for target, items in changed.items.items():
        for key, correct in items.correct.items():
            items.correct[key] = 1 - correct
        rows = changed.results.systems["target"] == target
        changed.results.systems.loc[rows, "accuracy"] = 1 - changed.results.systems.loc[rows, "accuracy"]
    changed = replace(changed, results=replace(changed.results, matrix=changed.results.matrix * 0))
    before, after = recommendations(evidence), recommendations(changed)
    assert before[DECISIONS].equals(after[DECISIONS])
    assert (before["expected_accuracy"] != after["expected_accuracy"]).all() and (
        before["confidence"] != after["confidence"]
    ).any()


def test_validation_results_do_touch_it():
    evidence = synthetic_evidence(4, alternating)
    rows = evidence.results.systems
    rows.loc[(rows["system"] == "merge") & (rows["target"] == "L01"), "accuracy_validation"] = 0.0
    found = primary(evidence)
    assert found.loc["L01", "advice"] == "single source" and found.loc["L02", "advice"] == "merge"


@pytest.mark.parametrize(
    ("agrees", "sure", "seeds", "expected"),
    [(True, True, 3, "high"), (True, True, 2, "medium"), (True, False, 3, "medium"), (False, False, 3, "low")],
)
def test_confidence(agrees, sure, seeds, expected):
    assert confidence(agrees, sure, seeds) == expected


def with_trainings(evidence, gain):
    """Add trainings on the validation labels: `few_shot_merge` is ahead of the chosen merge by gain(place)."""
    results, generator = evidence.results, np.random.default_rng(0)
    rows = []
    for place, (target, items) in enumerate(evidence.items.items()):
        merged = items.correct["near", "merge", 0].mean()
        reached = {
            "few_shot": merged + gain(place) - 0.02,
            "few_shot_base": 0.2,
            "few_shot_merge": merged + gain(place),
        }
        for name, accuracy in reached.items():
            right = generator.permutation(np.arange(len(items.ids)) < round(accuracy * len(items.ids)))
            items.correct["", name, 0] = right.astype(np.float32)
            about = {"target": target, "experiment": "", "system": name, "tier": "labelled validation", "model": ""}
            mean = float(right.mean())
            rows += [about | {"seed": s, "accuracy": mean, "low": mean, "high": mean} for s in (0, "mean")]
    systems = pd.concat([results.systems, pd.DataFrame(rows)], ignore_index=True)
    return replace(evidence, results=replace(results, systems=systems))


def test_training_on_the_labels_is_advised_where_it_was_ahead_for_the_other_targets():
    found = primary(with_trainings(synthetic_evidence(4, alternating), lambda place: -0.06 if place == 0 else 0.02))
    assert found["advice"].to_dict() == {
        "L00": "train on the labels",  # the others say so, whatever it reaches here
        "L01": "merge", "L02": "merge", "L03": "merge",  # for the others it was (-6 + 2 + 2) / 3 points ahead
    }  # fmt: skip
    assert found.loc["L00", "what"] == "few_shot_merge" and found.loc["L00", "alternative"] == "near"
    assert found.loc["L00", "confidence"] == "low" and found.loc["L00", "difference"] == pytest.approx(-0.06)
    assert (
        "was +2.0 points against what was chosen for them, on the other targets' test data"
        in found.loc["L00", "reason"]
    )
    assert np.isnan(found.loc["L00", "validation_accuracy"])


def test_without_trainings_the_advice_says_that_they_were_not_tried():
    table = recommendations(synthetic_evidence(4, alternating))
    said = table["reason"].str.endswith("was not tried (`baselines: [few_shot]`).")
    assert (said == (table["tier"] == "labelled validation")).all()
