"""dare_linear, dare_ties, della and the random masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.helpers import NAMES, merge_one
from tests.unit.merge_references import random_bytes, run
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.dropping import Masks, spans
from workflow_scripts.merging.streaming import Tensor

WHOLE = Tensor("w", (50, 8), None, 0)
few = settings(max_examples=40, deadline=None)


def kept(source: int, count: int, rate: float = 0.5, seed: int = 0) -> np.ndarray:
    """The mask of a source's tensor "a", from Philox itself."""
    return random_bytes(seed, NAMES[source], "a", count) < round((1 - rate) * 256)


# --- dare


def test_dare_linear_doubles_what_it_keeps():
    # τ/(1−p) = 2τ where kept
    values = np.arange(1, 33)
    assert merge_one([values], "dare_linear") == np.where(kept(0, 32), 2 * values, 0).tolist()


def test_dare_linear_sums_by_weight():
    # 0.75·τ₁/0.75 + 0.25·τ₂/0.75, times λ
    first, second = np.full(32, 4.0), np.full(32, 8.0)
    expected = 0.5 * (4 * kept(0, 32, 0.25) + 8 / 3 * kept(1, 32, 0.25))
    found = merge_one([first, second], "dare_linear", [0.75, 0.25], drop_rate=0.25, scaling=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_dare_ties_sums_those_that_agree_and_does_not_divide():
    # Both kept: s = sgn(½·3·2 − ½·1·2) = +, merged ½·3·2 = 3. First only: 3. Second only: −1.
    first, second = kept(0, 64), kept(1, 64)
    expected = np.where(first, 3, np.where(second, -1, 0))
    assert merge_one([np.full(64, 3), np.full(64, -1)], "dare_ties") == expected.tolist()
    assert {(True, True), (True, False), (False, True)} <= set(zip(first.tolist(), second.tolist(), strict=True))


def test_dare_ties_can_divide_by_the_agreeing_weight():
    # as above, ½·3·2 / ½ = 6 and −½·1·2 / ½ = −2
    expected = np.where(kept(0, 64), 6, np.where(kept(1, 64), -2, 0))
    assert merge_one([np.full(64, 3), np.full(64, -1)], "dare_ties", normalize=True) == expected.tolist()


def test_the_seed_and_the_name_choose_the_mask():
    values = [np.full(64, 1.0)]
    zero, one = merge_one(values, "dare_linear", seed=0), merge_one(values, "dare_linear", seed=1)
    assert zero != one
    assert one == (2 * kept(0, 64, seed=1)).tolist()
    assert kept(0, 64).tolist() != kept(1, 64).tolist()


# --- della


def test_della_with_epsilon_zero_is_dare_ties_with_two_bytes_per_element():
    words = random_bytes(0, NAMES[0], "a", 64).view(np.uint16)
    assert merge_one([np.full(32, 3.0)], "della", epsilon=1e-9) == np.where(words < 32768, 6, 0).tolist()


def test_della_keeps_large_elements_more_often_and_divides_by_their_probability():
    # Ranks 0, 1, 2 of 3: p = 0.25, 0.5, 0.75; the zero has no rank. The same row many times.
    row = np.array([2.0, 0, -8, 3])
    merged = run([{"a": np.tile(row, (4000, 1))}], "della", density=0.5, epsilon=0.25, layout=None)["a"]
    for column, p in ((0, 0.25), (2, 0.75), (3, 0.5)):
        assert set(merged[:, column]) == {0, np.float32(row[column] / p)}
        assert np.mean(merged[:, column] != 0) == pytest.approx(p, abs=0.03)  # 4 standard errors
    assert not merged[:, 1].any()


def test_della_ranks_equal_magnitudes_by_index():
    # p = 0.75 for the lowest index, 0.25 for the highest; with all elements counted, zeros rank lowest
    merged = run([{"a": np.tile([1.0, -1], (4000, 1))}], "della", epsilon=0.25, layout=None)["a"]
    assert np.mean(merged != 0, axis=0) == pytest.approx([0.75, 0.25], abs=0.03)
    merged = run([{"a": np.tile([0.0, 1, 0], (4000, 1))}], "della", epsilon=0.25, count="all", layout=None)["a"]
    assert set(merged[:, 1]) == {0, np.float32(1 / 0.75)}


def test_della_treats_a_vector_as_one_row():
    # p rises from 0.25 to 0.75 over the vector's 4000 elements
    merged = np.array(merge_one([np.arange(1, 4001)], "della", epsilon=0.25))
    assert np.mean(merged[:1000] != 0) == pytest.approx(0.3125, abs=0.06)
    assert np.mean(merged[3000:] != 0) == pytest.approx(0.6875, abs=0.06)
    positive = merged[merged > 0]
    assert positive[-1] == pytest.approx(np.flatnonzero(merged)[-1] / 0.75, rel=1e-2)


@pytest.mark.parametrize("wrong", [{"density": 0.1, "epsilon": 0.1}, {"density": 0.9, "epsilon": 0.2}])
def test_della_needs_probabilities_between_0_and_1(wrong):
    with pytest.raises(XlmergeError, match="between 0 and 1"):
        merge_one([[1.0]], "della", **wrong)


# --- masks


@pytest.mark.parametrize("probability", [0.5, 0.1, 0.9, 1 / 3, 0.001, 1.0])
def test_masks_are_as_frequent_as_they_should_be(probability):
    tensor = Tensor("w", (1 << 20,), None, 0)
    mask = Masks(0, NAMES).bernoulli(0, tensor, 0, tensor.size, probability)
    assert mask.mean() == pytest.approx(probability, abs=5 * (probability * (1 - probability) / mask.size) ** 0.5)


def test_masks_of_sources_tensors_and_seeds_are_independent():
    tensor, other = Tensor("w", (1 << 18,), None, 0), Tensor("v", (1 << 18,), None, 0)
    drawn = [
        Masks(seed, NAMES).bernoulli(source, t, 0, t.size, 0.5)
        for seed, source, t in [(0, 0, tensor), (1, 0, tensor), (0, 1, tensor), (0, 0, other)]
    ]
    correlations = np.corrcoef(np.array(drawn, float)) - np.eye(4)
    assert np.abs(correlations).max() < 5 / 512  # 5 standard errors


@few
@given(
    parts=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 399), st.integers(1, 400)), min_size=1, max_size=6),
    probability=st.sampled_from([0.5, 0.3]),
)
def test_order_and_size_of_requests_do_not_change_a_mask(parts, probability):
    whole = [Masks(0, NAMES).bernoulli(source, WHOLE, 0, 400, probability) for source in (0, 1)]
    masks = Masks(0, NAMES)
    for source, start, length in parts:
        count = min(length, 400 - start)
        found = masks.bernoulli(source, WHOLE, start, count, probability)
        np.testing.assert_array_equal(found, whole[source][start : start + count])


@few
@given(rows=st.sets(st.integers(0, 49), min_size=1), data=st.data(), probability=st.sampled_from([0.5, 0.3]))
def test_masks_of_stored_rows_are_those_of_the_whole_tensor(rows, data, probability):
    chosen = np.array(sorted(rows))
    sparse = Tensor("w", (len(chosen), 8), chosen, 0)
    start = data.draw(st.integers(0, sparse.size - 1))
    count = data.draw(st.integers(1, sparse.size - start))
    whole = Masks(0, NAMES).bernoulli(0, WHOLE, 0, 400, probability).reshape(50, 8)[chosen].ravel()
    found = Masks(0, NAMES).bernoulli(0, sparse, start, count, probability)
    np.testing.assert_array_equal(found, whole[start : start + count])
    positions = (chosen[:, None] * 8 + np.arange(8)).ravel()[start : start + count]
    runs = [np.arange(position, position + length) for _, position, length in spans(sparse, start, count)]
    np.testing.assert_array_equal(np.concatenate(runs), positions)


def test_a_byte_alone_does_not_decide_a_probability():
    # 2⁻¹⁰ is a quarter of a byte's step: the further bits must decide
    tensor = Tensor("w", (1 << 22,), None, 0)
    assert Masks(0, NAMES).bernoulli(0, tensor, 0, tensor.size, 2**-10).sum() == pytest.approx(4096, abs=320)
