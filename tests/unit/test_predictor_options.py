"""The choice: made on validation data, of the target where that is allowed, else of the other targets."""

import pandas as pd
import pytest

from workflow_scripts.findings.predictor.options import Option, choose, target_options

EXPERIMENTS = {"near": {"include_target": False}, "own": {"include_target": True}, "tuned": {"include_target": False}}


def systems(**changes):
    """Return one target's evaluation: (experiment, system) → tier, model, validation accuracy."""
    rows = {
        ("", "self"): ("labelled training", "t", 0.95),
        ("", "best_zero_shot"): ("oracle", "o", 0.9),
        ("", "best_zero_shot_val"): ("labelled validation", "a", 0.6),
        ("", "mean_zero_shot"): ("none", "", 0.4),
        ("", "english"): ("none", "en", 0.5),
        ("near", "merge"): ("none", "", 0.55),
        ("near", "top1"): ("none", "b", 0.45),
        ("near", "best_source"): ("oracle", "b", 0.9),
        ("own", "merge"): ("labelled training", "", 0.97),
        ("own", "top1"): ("labelled training", "t", 0.97),
        ("tuned", "merge"): ("labelled validation", "", 0.65),
        ("tuned", "top1"): ("labelled validation", "a", 0.6),
        **changes,
    }
    return pd.DataFrame(
        [
            {"experiment": e, "system": s, "tier": tier, "model": model, "accuracy_validation": value, "accuracy": 0.5}
            for (e, s), (tier, model, value) in rows.items()
        ]
    )


def test_options_leave_out_oracles_and_the_targets_own_model():
    found = target_options(systems(), EXPERIMENTS)
    assert [(o.key, o.kind, o.what) for o in found] == [
        (("", "best_zero_shot_val"), "single source", "a"),
        (("", "english"), "single source", "en"),
        (("near", "top1"), "single source", "b"),
        (("tuned", "top1"), "single source", "a"),
        (("near", "merge"), "merge", "near"),
        (("tuned", "merge"), "merge", "tuned"),
    ]
    assert found[1].advantage == pytest.approx(0.1)


def options(target="t", **changes):
    return target_options(systems(**changes), EXPERIMENTS)


def test_with_labels_the_targets_own_validation_data_choose():
    choice = choose({"t": options()}, "t", "labelled validation")
    assert (choice.single.what, choice.merge.what, choice.chosen.what) == ("a", "tuned", "tuned")
    strong = {("", "best_zero_shot_val"): ("labelled validation", "a", 0.65)}
    found = target_options(systems().pipe(lambda s: replaced(s, strong)), EXPERIMENTS)
    assert choose({"t": found}, "t", "labelled validation").chosen.what == "a", "a tie goes to the single source"


def replaced(table, rows):
    for (experiment, system), (_, _, value) in rows.items():
        table.loc[(table["experiment"] == experiment) & (table["system"] == system), "accuracy_validation"] = value
    return table


def test_without_labels_only_other_targets_speak():
    here = target_options(systems(), EXPERIMENTS)
    bad = {("near", "merge"): ("", "", 0.30), ("", "english"): ("", "", 0.45)}  # advantages −0.10 and +0.05
    there = target_options(replaced(systems(), bad), EXPERIMENTS)
    choice = choose({"t": here, "u": there}, "t", "none")
    assert (choice.single.what, choice.chosen.what) == ("en", "en")  # although the merge is better on t's own labels
    assert choice.scores[("near", "merge")] == pytest.approx(-0.10)
    assert choose({"t": here, "u": here}, "t", "none").chosen.what == "near"


def test_own_validation_of_the_target_is_not_looked_at_without_labels():
    there = target_options(systems(), EXPERIMENTS)
    for value in (0.0, 1.0):
        here = target_options(replaced(systems(), {("near", "merge"): ("", "", value)}), EXPERIMENTS)
        assert choose({"t": here, "u": there}, "t", "unlabelled").chosen.what == "near"


def test_the_recipe_is_chosen_elsewhere():
    here = target_options(replaced(systems(), {("near", "merge"): ("", "", 0.9)}), EXPERIMENTS)
    choice = choose({"t": here, "u": target_options(systems(), EXPERIMENTS)}, "t", "labelled validation")
    assert (choice.merge.what, choice.recipe.what) == ("near", "tuned")


def test_nothing_to_choose():
    single = Option(("", "best_zero_shot_val"), "single source", "labelled validation", "a", 0.6, 0.2)
    assert choose({"t": [single]}, "t", "none") is None
    only = choose({"t": [single]}, "t", "labelled validation")
    assert only.merge is only.recipe is None and only.chosen == single
