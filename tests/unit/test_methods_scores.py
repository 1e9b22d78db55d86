"""sce and pcb on tensors small enough to be merged by hand."""

import numpy as np
import pytest

from tests.unit.helpers import merge, merge_one
from workflow_scripts.merging.trimming import signed_keys, value_of_signed_key

# --- sce


def test_sce_selects_by_variance_and_lets_the_majority_pass():
    # Variances 4, 0, 1, 4, 0: 3 are not 0, ⌊0.7·3⌋ = 2 selected, the first and the fourth.
    # First: 4 + 0 > 0, only τ₁ agrees: 4. Fourth: 2 − 2 = 0, the sign is +, only τ₁ agrees: 2.
    assert merge_one([[4, 1, 0, 2, 2], [0, 1, 2, -2, 2]], "sce", ratio=0.7) == [4, 0, 0, 2, 0]


def test_sce_weighs_by_the_selected_squares():
    # η ∝ 4² and 2²: (16·4 + 4·2)/20 = 3.6; the second position has no variance and does not count
    assert merge_one([[4, 9], [2, 9]], "sce", ratio=1) == pytest.approx([3.6, 0])


def test_sce_ignores_weights():
    assert merge_one([[4, 9], [2, 9]], "sce", [0.9, 0.1], ratio=1) == pytest.approx([3.6, 0])


def test_sce_votes_without_weights():
    # 5 − 3 − 3 < 0: τ₂ and τ₃ agree, η equal
    assert merge_one([[5], [-3], [-3]], "sce") == pytest.approx([-3])


def test_sce_takes_equal_variances_by_index():
    # ⌊0.4·3⌋ = 1 of three variances 1: the first position; (1, 3) and η ∝ 1, 9: (1·1 + 9·3)/10
    assert merge_one([[1, 3, 5], [3, 1, 7]], "sce", ratio=0.4) == pytest.approx([2.8, 0, 0])


def test_sce_is_per_tensor():
    merged = merge([{"a": [1, 0], "b": [0, 8]}, {"a": [0, 0], "b": [0, 0]}], "sce")
    assert {n: v.tolist() for n, v in merged.items()} == {"a": [1, 0], "b": [0, 8]}


@pytest.mark.parametrize("k", [1, 2, 3, 7, 9])
def test_sce_of_equal_sources_selects_nothing(k):
    values = np.random.default_rng(0).normal(size=50)
    assert not np.any(merge_one([values] * k, "sce", ratio=1))


def test_sce_count_all_takes_the_fraction_of_all_positions():
    # 10 positions, 2 with variance: ⌊0.2·10⌋ = 2, but max(1, ⌊0.2·2⌋) = 1
    rows = [[4, 2, *[1] * 8], [0, 0, *[1] * 8]]
    assert merge_one(rows, "sce", ratio=0.2)[:2] == [4, 0]
    assert merge_one(rows, "sce", ratio=0.2, count="all")[:2] == [4, 2]


# --- pcb

ROWS = [[3, 2, 1], [1, -2, 3]]  # Σ = 4, 0, 4
# minmax|τ₁| = 1, ½, 0; b₁ = e²·tanh 12, e^½·tanh 0 = 0, tanh 4; b₂ the other way round
SCORE = np.tanh(4) / (np.exp(2) * np.tanh(12))  # 0.135


def test_pcb_weighs_by_size_and_agreement():
    # ratio 1: the floor is 0, s₁ = 1, 0, SCORE; s₂ = SCORE, 0, 1
    side = (3 + SCORE * 1) / (1 + SCORE)
    assert merge_one(ROWS, "pcb", ratio=1) == pytest.approx([side, 0, side], rel=1e-6)


def test_pcb_raises_small_scores_to_the_floor():
    # ⌊0.7·3⌋ = 2: the floor is tanh 4, s₁ = 1, 0, 0; s₂ = 0, 0, 1
    assert merge_one(ROWS, "pcb", ratio=0.7, scaling=0.5) == pytest.approx([1.5, 0, 1.5])


def test_pcb_where_one_element_scores_it_counts_fully():
    # ⌊0.1·3⌋ = 0, so 1: floor = ceiling, the score is 1
    assert merge_one(ROWS, "pcb") == pytest.approx([3, 0, 3])


def test_pcb_is_over_the_whole_vector():
    parts = [{"a": row[:1], "b": row[1:]} for row in ROWS]
    merged = merge(parts, "pcb", ratio=1)
    assert [*merged["a"], *merged["b"]] == pytest.approx(merge_one(ROWS, "pcb", ratio=1), rel=1e-6)


def test_zeros_do_not_change_pcb():
    padded = [[0, *row[:2], 0, 0, row[2]] for row in ROWS]
    found = merge_one(padded, "pcb", ratio=0.7)
    assert [found[i] for i in (1, 2, 5)] == pytest.approx(merge_one(ROWS, "pcb", ratio=0.7))


def test_zeros_score_nothing_even_where_the_floor_is_negative():
    # Σ = −2, 2, 1. τ₁ has one element, against the sum: floor = ceiling < 0, it scores 1, its zeros 0.
    # τ₂, ratio 1: scores 1, between, 0. So (1 − 3)/2; 2·s/s; none
    assert merge_one([[1, 0, 0], [-3, 2, 1]], "pcb", ratio=1) == pytest.approx([-1, 2, 0])


def test_pcb_of_one_source_keeps_its_largest():
    # b = exp(minmax²)·tanh τ² is largest for 9; ⌊0.1·10⌋ = 1
    assert merge_one([list(range(10))], "pcb", ratio=0.12) == [0] * 9 + [9]


def test_signed_keys_are_in_the_order_of_the_values():
    values = np.array([-np.inf, -3e38, -2, -1e-45, 0, 1e-45, 1, 3e38, np.inf], np.float32)
    keys = signed_keys(values)
    assert (np.diff(keys.astype(np.int64)) > 0).all()
    assert keys.min() > 0
    assert [value_of_signed_key(int(k)) for k in keys] == values.tolist()
