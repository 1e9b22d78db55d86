"""layer_swap and hierarchical: methods made of methods."""

import numpy as np
import pytest

from tests.unit.helpers import merge
from tests.unit.merge_references import EMBEDDING, SHAPES, run
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import methods_in

NAMES = ["a", "b", "c"]


def constant(value: float) -> dict[str, np.ndarray]:
    return {name: np.full(shape, value, np.float32) for name, shape in SHAPES.items()}


def values(merged) -> dict[str, float]:
    """The value of each tensor (constant within), by its layer."""
    parts = {EMBEDDING: "embedding", "head.weight": "head"} | {f"enc.layer.{i}.dense.weight": str(i) for i in (0, 1, 3)}
    return {part: float(merged[name].flat[0]) for name, part in parts.items()}


# --- layer_swap: 4 layers (layer 2 has a bias only); by default layers 0 and 3 are outer


def test_layer_swap_takes_the_middle_from_the_pivot_and_the_outer_layers_from_the_others():
    # others, with the embedding and the head: (0.2·8 + 0.3·3)/0.5 = 5; the middle: the pivot's 4, whatever it weighs
    roles = {"a": "other", "b": "pivot", "c": "other"}
    merged = run([constant(8), constant(4), constant(3)], "layer_swap", [0.2, 0.5, 0.3], names=NAMES, groups=roles)
    assert values(merged) == {part: pytest.approx(4 if part == "1" else 5) for part in values(merged)}


def test_first_passes_are_over_the_sources_that_count():
    # ties keeps half of each of the two others alone: what the pivot has is not looked at
    generator = np.random.default_rng(0)
    vectors = [{n: generator.normal(size=s).astype(np.float32) for n, s in SHAPES.items()} for _ in range(3)]
    roles = {"a": "pivot", "b": "other", "c": "other"}
    ties = {"outer": "ties", "outer_parameters": {"density": 0.5}}
    for sparse in (False, True):
        merged = run(vectors, "layer_swap", names=NAMES, groups=roles, sparse=sparse, **ties)
        two = run(vectors[1:], "ties", names=NAMES[1:], sparse=sparse, density=0.5)
        for name in (EMBEDDING, "enc.layer.0.dense.weight", "head.weight"):
            np.testing.assert_array_equal(merged[name], two[name])
        np.testing.assert_array_equal(merged["enc.layer.1.dense.weight"], vectors[0]["enc.layer.1.dense.weight"])


@pytest.mark.parametrize(
    ("weights", "roles"), [([0.5, 0.5], {}), ([0.5, 0.5], {"a": "pivot", "b": "pivot"}), ([1, 0], {"a": "pivot"})]
)
def test_layer_swap_needs_a_pivot_and_others_that_weigh_something(weights, roles):
    with pytest.raises(XlmergeError, match="one source must be of the group 'pivot'"):
        run([constant(4), constant(8)], "layer_swap", weights, names=NAMES[:2], groups=roles)


def test_layer_swap_may_merge_all_sources_for_all_layers():
    # outer: 0.25·4 + 0.75·8 = 7, with the embedding and the head; middle: (4+8)/2 = 6
    merged = run([constant(4), constant(8)], "layer_swap", [0.25, 0.75], middle_from="all")
    assert values(merged) == {"embedding": 7, "0": 7, "1": 6, "3": 7, "head": 7}


@pytest.mark.parametrize(
    ("bounds", "outer"),
    [
        ({"bottom": 2}, {"embedding", "0", "1", "3", "head"}),
        ({"bottom": 0, "top": 4}, set()),
        ({"bottom": 0}, {"3", "head"}),  # the embedding goes with layer 0
        ({"top": 4}, {"embedding", "0"}),  # the head goes with layer 3
        ({"bottom": 2, "top": 2}, {"embedding", "0", "1", "3", "head"}),
    ],
)
def test_bounds_of_the_layers(bounds, outer):
    merged = values(run([constant(4), constant(8)], "layer_swap", [0.25, 0.75], middle_from="all", **bounds))
    assert {part for part, value in merged.items() if value == 7} == outer


def test_layer_swap_passes_parameters_and_first_passes_on():
    # ties over the whole vector: the second source's elements are all 8, ⌊0.5·n⌋ are kept, the first in order
    parameters = {"outer": "task_arithmetic", "outer_parameters": {"scaling": 0.5}, "middle_from": "all"}
    merged = run(
        [constant(4), constant(8)], "layer_swap", middle="ties", middle_parameters={"density": 0.5}, **parameters
    )
    whole = run([constant(4), constant(8)], "ties", density=0.5)
    np.testing.assert_array_equal(merged["enc.layer.1.dense.weight"], whole["enc.layer.1.dense.weight"])
    assert merged["head.weight"][0, 0] == 6  # 0.5·2·(4·½ + 8·½)


def test_layer_swap_works_with_whole_tensors_and_rows():
    generator = np.random.default_rng(0)
    vectors = [{n: generator.normal(size=s).astype(np.float32) for n, s in SHAPES.items()} for _ in range(2)]
    merged = run(vectors, "layer_swap", outer="tsv_m", middle="della", middle_from="all")
    for method, names in (("tsv_m", ["enc.layer.0.dense.weight", EMBEDDING]), ("della", ["enc.layer.1.dense.weight"])):
        expected = run(vectors, method)
        for name in names:
            np.testing.assert_array_equal(merged[name], expected[name])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"outer": "hierarchical"}, "outer cannot be hierarchical"),
        ({"middle": "averege"}, "did you mean 'average'"),
        ({"bottom": 3, "top": 1}, "bottom 3 lies above top 1"),
        ({"top": 5}, "0 ≤ bottom ≤ top ≤ 4"),
        ({"layout": None}, "encoder layers"),
        ({"outer": "slerp"}, "exactly 2 sources, not 3"),
        ({"middle": "karcher", "middle_parameters": {"space": "weights"}}, "needs θ₀"),
    ],
)
def test_what_layer_swap_refuses(wrong, message):
    with pytest.raises(XlmergeError, match=message):
        run([constant(1)] * 3, "layer_swap", middle_from="all", **wrong)


def test_inner_parameters_are_checked():
    with pytest.raises(XlmergeError, match="outer_parameters, of ties: density"):
        run([constant(1)], "layer_swap", outer="ties", outer_parameters={"density": 2})


# --- hierarchical

GROUPS = {"a": "north", "b": "south", "c": "north"}


def hierarchical(weights=(0.5, 0.25, 0.25), groups=GROUPS, **parameters) -> float:
    """Merge 0, 10 and 4, of which the first and the last are of one group."""
    vectors = [{"w": [0.0]}, {"w": [10.0]}, {"w": [4.0]}]
    return float(run(vectors, "hierarchical", list(weights), names=NAMES, groups=groups, **parameters)["w"][0])


def test_groups_weigh_the_same():
    # north: (0.5·0 + 0.25·4)/0.75 = 4/3; (4/3 + 10)/2
    assert hierarchical() == pytest.approx(17 / 3)


def test_groups_may_weigh_as_much_as_their_sources_then_linear_is_flat():
    # 0.75·4/3 + 0.25·10 = 3.5 = 0.5·0 + 0.25·10 + 0.25·4
    assert hierarchical(group_weights="summed") == pytest.approx(3.5)


def test_lambda_is_1_within_a_group():
    # north: 1·2·(⅔·0 + ⅓·4) = 8/3; outside 0.5·2·(½·8/3 + ½·10)
    found = hierarchical(inner="task_arithmetic", outer="task_arithmetic", outer_parameters={"scaling": 0.5})
    assert found == pytest.approx(19 / 3)


def test_inner_and_outer_parameters():
    # ties within north, unweighted vote: 1 − 3 < 0 keeps −3; outside the vote −3·½ + 2·½ < 0 keeps −3
    vectors = [{"w": [1.0]}, {"w": [2.0]}, {"w": [-3.0]}]
    ties = {"density": 1, "vote": "unweighted"}
    parameters = {"inner": "ties", "inner_parameters": ties, "outer": "ties", "outer_parameters": {"density": 1}}
    assert run(vectors, "hierarchical", [0.5, 0.25, 0.25], names=NAMES, groups=GROUPS, **parameters)["w"] == [-3]


def test_one_group_is_the_inner_merge_and_groups_of_one_the_outer():
    assert hierarchical(groups=dict.fromkeys(NAMES, "all")) == pytest.approx(3.5)
    assert hierarchical(groups={n: n for n in NAMES}) == pytest.approx(14 / 3)


def test_a_group_without_weight_takes_no_part():
    assert hierarchical((0.5, 0, 0.5)) == pytest.approx(2)


def test_slerp_across_two_groups():
    # both groups along one axis: linear
    assert hierarchical(outer="slerp") == pytest.approx(17 / 3)


def test_a_hierarchy_within_a_layer_swap_is_refused_but_not_the_other_way_round():
    inner = {"inner": "layer_swap", "inner_parameters": {"middle_from": "all"}}
    found = run([constant(4), constant(8), constant(8)], "hierarchical", names=NAMES, groups=GROUPS, **inner)
    assert set(values(found).values()) == {7}  # (½·4 + ½·8 = 6, and 8)/2


@pytest.mark.parametrize(("inner", "by"), [("layer_swap", "role"), ("hierarchical", "family")])
def test_sources_are_grouped_in_one_way_at_a_time(inner, by):
    with pytest.raises(XlmergeError, match=f"inner cannot be {inner}, which groups the sources by {by}"):
        hierarchical(inner=inner)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"groups": {"a": "north", "c": "north"}}, "script of b is not known"),
        ({"groups": {**GROUPS, "b": "unknown"}}, "script of b is not known"),
        ({"inner_parameters": {"scaling": 2}}, "λ is 1 within a group"),
        ({"inner": "sliced"}, "unknown merge method"),
    ],
)
def test_what_hierarchical_refuses(wrong, message):
    with pytest.raises(XlmergeError, match=message):
        hierarchical(by="script", **wrong)


def test_hierarchical_needs_groups():
    with pytest.raises(XlmergeError, match="family of de-DE is not known"):
        merge([{"w": [1.0]}], "hierarchical")


def test_the_code_of_a_combined_method_is_that_of_all_its_methods():
    assert methods_in("ties", {}) == ["ties"]
    assert methods_in("layer_swap", {"outer": "ties"}) == ["average", "layer_swap", "ties"]
    swap = {"middle": "sce", "middle_from": "all"}
    nested = {"inner": "layer_swap", "inner_parameters": swap, "outer": "karcher"}
    assert methods_in("hierarchical", nested) == ["hierarchical", "karcher", "layer_swap", "sce", "similarity"]
