"""task_arithmetic, breadcrumbs and consensus on tensors small enough to be merged by hand."""

import numpy as np
import pytest

from tests.unit.helpers import Rows, merge, merge_one
from tests.unit.merge_references import EMBEDDING, SHAPES, run

# --- task_arithmetic


def test_task_arithmetic_is_the_scaled_sum():
    # λ·K·w = 0.5·2·0.5 each: 0.5·(1+3), 0.5·(2−2), 0.5·(−4+0)
    assert merge_one([[1, 2, -4], [3, -2, 0]], "task_arithmetic", scaling=0.5) == [2, 0, -2]


def test_task_arithmetic_with_weights():
    # 0.5·2·(0.75·1 + 0.25·3), 0.5·2·(0.75·2 − 0.25·2)
    assert merge_one([[1, 2], [3, -2]], "task_arithmetic", [0.75, 0.25], scaling=0.5) == [1.5, 1]


def test_task_arithmetic_by_default_takes_nine_tenths_of_the_mean_of_three():
    # 0.3·3·(10 + 20 + 30)/3
    assert merge_one([[10], [20], [30]], "task_arithmetic") == pytest.approx([18])


# --- breadcrumbs


def test_breadcrumbs_drops_both_ends():
    # 10 elements: ⌊0.2·10⌋ = 2 largest dropped (10, −9), ⌊0.5·10⌋ = 5 kept (8 … 4), the rest dropped
    values = [10, -9, 8, 7, -6, 5, 4, 3, 2, 1]
    kept = [0, 0, 8, 7, -6, 5, 4, 0, 0, 0]
    assert merge_one([values], "breadcrumbs", density=0.5, gamma=0.2, scaling=1) == kept


def test_breadcrumbs_counts_non_zero_elements():
    # 4 non-zero: ⌊0.25·4⌋ = 1 dropped, ⌊0.5·4⌋ = 2 kept; of all 8 it would be 2 and 4
    values = [4, 3, 2, 1, 0, 0, 0, 0]
    assert merge_one([values], "breadcrumbs", density=0.5, gamma=0.25, scaling=1) == [0, 3, 2, 0, 0, 0, 0, 0]
    found = merge_one([values], "breadcrumbs", density=0.5, gamma=0.25, scaling=1, count="all")
    assert found == [0, 0, 2, 1, 0, 0, 0, 0]


def test_breadcrumbs_takes_equal_magnitudes_by_index():
    # 1 of 4 dropped, 2 kept
    assert merge_one([[1, -1, 1, 1]], "breadcrumbs", density=0.5, gamma=0.25, scaling=1) == [0, -1, 1, 0]


def test_breadcrumbs_leaves_the_density_first():
    # ⌊0.9·5⌋ = 4 are left, so of ⌊0.5·5⌋ = 2 largest only 1 is dropped
    values = [5, 4, 3, 2, 1]
    assert merge_one([values], "breadcrumbs", density=0.9, gamma=0.5, scaling=1) == [0, 4, 3, 2, 1]
    assert merge_one([values], "breadcrumbs", density=1, gamma=0.5, scaling=1) == values


def test_breadcrumbs_trims_each_tensor_and_source_by_itself():
    # per tensor of 2: none dropped, ⌊0.5·2⌋ = 1 kept; λ·K·w = 1·2·0.5
    merged = merge([{"a": [1, 2], "b": [30, 40]}, {"a": [8, 4]}], "breadcrumbs", density=0.5, scaling=1)
    assert {n: v.tolist() for n, v in merged.items()} == {"a": [8, 2], "b": [0, 40]}


def test_breadcrumbs_then_sums_by_weight():
    # 0.3·2·(0.75·10 + 0.25·20)
    assert merge_one([[10], [20]], "breadcrumbs", [0.75, 0.25]) == pytest.approx([7.5])


def test_with_count_all_the_largest_may_be_all_there_are():
    # 24 elements, 2 of them not 0: ⌊0.1·24⌋ = 2 are dropped
    sparse = {n: np.zeros(s) for n, s in SHAPES.items()} | {EMBEDDING: np.zeros((6, 4))}
    sparse[EMBEDDING][3, :2] = [1, 2]
    for stored in (False, True):
        merged = run([sparse], "breadcrumbs", density=0.5, gamma=0.1, count="all", sparse=stored)
        assert not merged[EMBEDDING].any()
    kept = run([sparse], "breadcrumbs", density=0.5, gamma=0.1, scaling=1)[EMBEDDING]
    assert kept[3].tolist() == [0, 2, 0, 0]  # of 2: none dropped, 1 kept


def test_count_all_without_known_shapes_counts_the_stored_rows():
    # 2 rows of 2: ⌊0.5·4⌋ = 2 kept
    merged = merge([{"emb": Rows([1, 7], [[4, 3], [2, 1]])}], "ties", density=0.5, count="all", heights={"emb": 9})
    assert merged["emb"][[1, 7]].tolist() == [[4, 3], [0, 0]]


# --- consensus


def test_consensus_keeps_what_two_masks_hold():
    # λ_t = 0.5. First element: |3| > 0.5·|2|, |2| > 0.5·|3|: kept, 3 + 2.
    # Second: |4| > 0.5·|1|, but |1| < 0.5·|4|: dropped. Third: |−3| > 0.5·2, |2| > 0.5·3: kept, −3 + 2.
    found = merge_one([[3, 4, -3], [2, 1, 2]], "consensus", mask_threshold=0.5, scaling=1)
    assert found == [5, 0, -1]


def test_consensus_compares_strictly_and_zero_is_in_no_mask():
    # |1| = 0.5·|2|: not in the mask
    assert merge_one([[1, 0], [2, 0]], "consensus", mask_threshold=0.5, scaling=1) == [0, 0]


def test_consensus_with_three_sources():
    # Σ = 6: rests 5, 4, 3; 0.4 of them 2, 1.6, 1.2: masks 0, 1, 1; λ·K·w = 0.3·3·(1·¼ + 2·¼ + 3·½)
    assert merge_one([[1], [2], [3]], "consensus", [0.25, 0.25, 0.5]) == pytest.approx([2.025])
    assert merge_one([[1], [2], [3]], "consensus", [0.25, 0.25, 0.5], min_agree=3) == [0]


def test_consensus_of_one_source_is_nothing():
    assert merge_one([[1, 2]], "consensus") == [0, 0]
