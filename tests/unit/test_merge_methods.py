"""average, similarity and ties on tensors small enough to be merged by hand."""

import numpy as np
import pytest
from pydantic import ValidationError

from tests.unit.helpers import merge, merge_one, merge_with_facts
from workflow_scripts.core.errors import XlmergeError

# --- average


def test_average_is_the_mean():
    # (1+3)/2, (2−2)/2, (−4+0)/2
    assert merge_one([[1, 2, -4], [3, -2, 0]], "average") == [2, 0, -2]


def test_average_ignores_weights():
    assert merge_one([[1, 2, -4], [3, -2, 0]], "average", [0.75, 0.25]) == [2, 0, -2]


@pytest.mark.parametrize("method", ["average", "similarity"])
def test_a_tensor_that_a_source_did_not_change_counts_as_zero(method):
    merged = merge([{"a": [2.0]}, {"b": [4.0]}], method)
    assert {k: v.tolist() for k, v in merged.items()} == {"a": [1], "b": [2]}


# --- similarity


def test_similarity_is_the_weighted_mean():
    # 0.75·1 + 0.25·3, 0.75·2 − 0.25·2, −0.75·4
    assert merge_one([[1, 2, -4], [3, -2, 0]], "similarity", [0.75, 0.25]) == [1.5, 1, -3]


def test_similarity_with_a_weight_of_zero_leaves_the_source_out():
    assert merge_one([[1, 2], [30, 40]], "similarity", [1, 0]) == [1, 2]


# --- ties: trim


def test_trim_keeps_the_largest_of_the_non_zero_elements():
    # 4 non-zero elements, ⌊0.5·4⌋ = 2 kept; of all 6 elements it would be 3
    assert merge_one([[4, -3, 0, 0, 2, 1]], "ties", density=0.5) == [4, -3, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("density", "kept"),
    [(0.1, 1), (0.2, 1), (0.39, 1), (0.4, 2), (0.5, 2), (0.6, 3), (0.99, 4), (1, 5)],  # ⌊5·density⌋, at least 1
)
def test_number_of_kept_elements(density, kept):
    values = [5, 4, 3, 2, 1, 0, 0, 0]
    assert merge_one([values], "ties", density=density) == [v if i < kept else 0 for i, v in enumerate(values)]


def test_equal_magnitudes_go_to_the_lowest_index():
    assert merge_one([[1, -2, 2, 2, -2]], "ties", density=0.4) == [0, -2, 2, 0, 0]


def test_global_trim_is_over_the_whole_vector_and_tensor_trim_within_each_tensor():
    source = {"a": [5, 4], "b": [1, 0.5]}
    whole = merge([source], "ties", density=0.5)  # ⌊0.5·4⌋ = 2 of 5, 4, 1, 0.5
    each = merge([source], "ties", density=0.5, trim="tensor")  # 1 of 5, 4 and 1 of 1, 0.5
    assert {k: v.tolist() for k, v in whole.items()} == {"a": [5, 4], "b": [0, 0]}
    assert {k: v.tolist() for k, v in each.items()} == {"a": [5, 0], "b": [1, 0]}


def test_equal_magnitudes_across_tensors_go_to_the_first_tensor():
    # ⌊0.7·3⌋ = 2; the canonical order is a, b, whatever the file's order
    merged = merge([{"b": [1, 1], "a": [-1]}], "ties", density=0.7)
    assert {k: v.tolist() for k, v in merged.items()} == {"a": [-1], "b": [1, 0]}


def test_each_source_is_trimmed_by_itself():
    # a quarter each: the first keeps its 1, although all of the second's elements are larger
    assert merge_one([[1, 0.5, 0.5, 0.5], [0, 9, 8, 8, 8][:4]], "ties", density=0.34) == [1, 9, 0, 0]


def test_count_all_takes_the_fraction_of_all_elements():
    values = [4, 3, 2, 0, 0, 0, 0, 0, 0, 0]
    assert merge_one([values], "ties", density=0.2) == [4, *[0] * 9]  # max(1, ⌊0.6⌋)
    assert merge_one([values], "ties", density=0.2, count="all") == [4, 3, *[0] * 8]  # ⌊2⌋
    assert merge_one([values], "ties", density=0.5, count="all") == values  # 5, more than there are


# --- ties: elect and merge


def test_only_agreeing_sources_are_averaged_by_weight():
    # vote 0.25·1 + 0.5·4 − 0.25·1 > 0; (0.25·1 + 0.5·4) / 0.75
    assert merge_one([[1], [4], [-1]], "ties", [0.25, 0.5, 0.25], density=1) == [3]


def test_a_zero_does_not_agree():
    assert merge_one([[0, 1], [4, 1]], "ties", density=1) == [4, 1]


def test_vote_weighted_or_not():
    rows, weights = [[3], [-2], [-2]], [0.6, 0.2, 0.2]
    assert merge_one(rows, "ties", weights, density=1) == [3]  # 0.6·3 − 0.4·2 > 0
    assert merge_one(rows, "ties", weights, density=1, vote="unweighted") == [-2]  # 3 − 4 < 0


def test_a_tied_vote_is_positive():
    assert merge_one([[-1, 1], [1, -1]], "ties", density=1) == [1, 1]


def test_no_agreeing_weight_gives_zero():
    # unweighted, the second source elects −, but it weighs nothing
    assert merge_one([[0, 1], [-3, 0]], "ties", [1, 0], density=1, vote="unweighted") == [0, 1]


def test_elements_trimmed_in_every_source_are_zero():
    assert merge_one([[2, 1, 0], [2, 0, 1]], "ties", density=0.5) == [2, 0, 0]


def test_scaling_stretches_the_result():
    assert merge_one([[1, -2], [3, -4]], "ties", density=1, scaling=0.5) == [1, -1.5]  # (1+3)/2·0.5, (−2−4)/2·0.5


def test_trimming_comes_before_the_vote():
    # −3 alone would be outvoted by 2 + 2, but both 2 are trimmed
    assert merge_one([[2, 9], [2, 9], [-3, 0]], "ties", density=0.5) == [-3, 9]


def reference_ties(rows, weights, density, vote, scaling):
    """Scalar loops over one tensor in double precision."""
    trimmed = []
    for row in rows:
        nonzero = [i for i, v in enumerate(row) if v]
        keep = sorted(nonzero, key=lambda i: (-abs(row[i]), i))[: max(1, int(density * len(nonzero)))]
        trimmed.append([v if i in keep else 0.0 for i, v in enumerate(row)])
    merged = []
    for column in zip(*trimmed, strict=True):
        total = sum((w if vote == "weighted" else 1) * v for w, v in zip(weights, column, strict=True))
        agree = [(w, v) for w, v in zip(weights, column, strict=True) if v and (v < 0) == (total < 0)]
        mass = sum(w for w, _ in agree)
        merged.append(scaling * sum(w * v for w, v in agree) / mass if mass else 0.0)
    return merged


@pytest.mark.parametrize("vote", ["weighted", "unweighted"])
@pytest.mark.parametrize("density", [0.1, 0.2, 0.55, 1])
def test_ties_against_a_scalar_reference(vote, density):
    generator = np.random.default_rng(0)
    rows = generator.integers(-6, 7, (4, 200)) / 4  # many zeros, many equal magnitudes
    weights = [0.5, 0.25, 0.125, 0.125]
    found = merge_one(rows, "ties", weights, density=density, vote=vote, scaling=0.5)
    expected = reference_ties(rows.tolist(), weights, density, vote, 0.5)
    assert np.count_nonzero(expected) > 20
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# --- all methods


def test_facts_describe_the_merged_task_vector():
    _, facts = merge_with_facts([{"a": [[3, 0], [0, 4]], "b": [2]}], "average")
    assert facts.elements == {"a": 4, "b": 1}
    assert facts.nonzero == {"a": 2, "b": 1}
    assert facts.squared_norm == {"a": 25, "b": 4}  # 3² + 4², 2²


@pytest.mark.parametrize("weights", [[0.5, 0.4], [1.5, -0.5]])
def test_weights_must_be_shares(weights):
    with pytest.raises(XlmergeError, match="sum to 1"):
        merge_one([[1], [2]], "similarity", weights)


@pytest.mark.parametrize("wrong", [{"density": 0}, {"density": 1.1}, {"trim": "row"}, {"densty": 0.5}])
def test_parameters_are_checked(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        merge_one([[1]], "ties", **wrong)
