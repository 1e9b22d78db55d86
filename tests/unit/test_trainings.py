"""Trainings beside merges: what they start from, and the sentences that they are given."""

import itertools

import pandas as pd
import pytest

from workflow_scripts.merging.trained_baselines import drawn
from workflow_scripts.selection.systems import column, system
from workflow_scripts.selection.trainings import few_shot_entries, trainings_of
from workflow_scripts.study.config import FewShot

TABLE = pd.DataFrame(
    {
        "id": [f"{i:02}" for i in range(12)],
        "text": "x",
        "label": [0, 1] * 6,
        "cluster": [f"c{i // 3}" for i in range(12)],
    }
)


def test_fewer_sentences_are_among_more_whatever_the_order_of_the_table():
    sets = [set(drawn(TABLE, n, 7)["id"]) for n in range(1, 12)]
    assert [len(ids) for ids in sets] == list(range(1, 12))
    assert all(few < more for few, more in itertools.pairwise(sets))
    shuffled = drawn(TABLE.sample(frac=1, random_state=1), 5, 7)
    pd.testing.assert_frame_equal(shuffled, drawn(TABLE, 5, 7))


def test_a_cluster_is_taken_whole_before_the_next_and_the_seed_decides_which():
    assert drawn(TABLE, 6, 0)["cluster"].value_counts().to_list() == [3, 3]
    assert len({drawn(TABLE, 3, seed)["cluster"].iloc[0] for seed in range(20)}) == 4


def test_only_merges_that_need_no_more_than_validation_labels_may_be_chosen_to_start_from():
    tiers = {"a": "none", "b": "labelled validation", "c": "labelled training"}
    plan = {name: {"experiment": name, "target": "t", "tier": tier} for name, tier in tiers.items()}
    plan["other"] = {"experiment": "d", "target": "s", "tier": "none"}
    validation = {0: {"s": {"t": 0.5}, "r": {"t": 0.6}, "t": {"t": 1.0}}}
    (entry,) = few_shot_entries(plan, ["t"], [0], ["s", "r", "t"], validation, [4, "all"])
    trainings = trainings_of(entry)
    assert trainings["few_shot_merge"]["candidates"] == ["a", "b"] and trainings["few_shot"]["start"] == ["r", 0]
    assert trainings["few_shot_base_n4"]["sentences"] == 4 and "few_shot_merge_n4" not in trainings
    (alone,) = few_shot_entries({"c": plan["c"]}, ["t"], [0], ["s", "r", "t"], validation, ["all"])
    assert list(trainings_of(alone)) == ["few_shot", "few_shot_base"], "no merge without the target's own model"


def test_systems_of_a_curve_are_their_systems_with_a_name_of_their_own():
    assert system("few_shot_n16").name == "few_shot" and system("few_shot_base_n16").name == "few_shot_base"
    assert column("few_shot_n16") == "few_shot_n16" and column("few_shot") == "few_shot"


@pytest.mark.parametrize("sizes", [[16], [32, 16, "all"], ["all", 16], [16, 16, "all"], []])
def test_sizes_are_ascending_and_end_with_all(sizes):
    with pytest.raises(ValueError, match="ascending numbers with `all` at the end"):
        FewShot(sizes=sizes)
    assert FewShot(sizes=[16, 32, "all"]).sizes == [16, 32, "all"]
