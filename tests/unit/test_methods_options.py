"""Options that make a method mean what mergekit's does, by hand."""

import numpy as np
import pytest

from tests.unit.helpers import NAMES, merge, merge_one
from tests.unit.test_methods_random import kept
from workflow_scripts.core.errors import XlmergeError


def test_ties_without_normalize_sums_those_that_agree():
    # weights ¾ and ¼: 2.25 + 0.25; 2.25 alone; −0.75 − 0.25
    rows = [[3, 3, -1], [1, -1, -1]]
    found = merge_one(rows, "ties", [0.75, 0.25], density=1, normalize=False, scaling=2)
    assert found == [5, 4.5, -2]


def test_breadcrumbs_may_leave_nothing():
    # ⌊0.4·2⌋ = 0
    assert merge_one([[1, 2]], "breadcrumbs", density=0.4, gamma=0, scaling=1) == [0, 2]
    assert merge_one([[1, 2]], "breadcrumbs", density=0.4, gamma=0, scaling=1, minimum=0) == [0, 0]


def test_sce_may_select_nothing_or_everything():
    rows = [[1, 2, 2], [3, 2, 2]]  # variance 1, 0, 0
    assert merge_one(rows, "sce", ratio=0.5, minimum=0) == [0, 0, 0]  # ⌊0.5·1⌋ = 0
    # η ∝ 1+4+4 and 9+4+4: (9·1 + 17·3)/26, 2, 2
    assert merge_one(rows, "sce") == pytest.approx([60 / 26, 2, 2])
    assert merge_one([[1, -2]], "sce") == [1, -2]


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_dare_can_restore_the_l1_norm(method):
    first, second = np.arange(1.0, 33), np.full(32, 2.0)
    by_hand = [v * kept(i, 32) * np.abs(v).sum() / np.abs(v * kept(i, 32)).sum() for i, v in enumerate((first, second))]
    found = merge_one([first, second], method, [0.25, 0.75], rescale="l1", scaling=2)
    np.testing.assert_allclose(found, 2 * (0.25 * by_hand[0] + 0.75 * by_hand[1]), rtol=1e-6)  # all agree


def test_the_l1_norm_is_restored_in_each_tensor_and_source():
    generator = np.random.default_rng(0)
    vectors = [{"a": generator.normal(size=(9, 7)), "b": generator.normal(size=50) * 9} for _ in range(2)]
    for method, extra in (("dare_linear", {}), ("della", {"count": "all"}), ("della", {"density": 0.3})):
        for vector in vectors:
            found = merge([vector], method, rescale="l1", **extra)
            for name, value in vector.items():
                assert np.abs(found[name]).sum() == pytest.approx(np.abs(value).sum(), rel=1e-5)
                assert 0 < np.count_nonzero(found[name]) < value.size


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della"])
def test_what_is_kept_can_stay_as_it_is(method):
    values = np.arange(1.0, 65)
    found = np.array(merge_one([values], method, rescale="none"))
    assert set((found / values).tolist()) == {0, 1}


def test_where_nothing_is_left_there_is_no_norm_to_restore():
    assert merge_one([[0.0, 0.0]], "dare_linear", rescale="l1") == [0, 0]
    assert merge_one([[1.0]], "dare_linear", rescale="l1", drop_rate=1 - 2**-30) == [0]


def test_slerp_can_apply_the_sines_to_the_vectors_as_they_are():
    half = np.sin(np.pi / 4)
    assert merge_one([[2, 0], [0, 1]], "slerp", sines="raw") == pytest.approx([2 * half, half])
    found = merge_one([[2, 0], [0, 1]], "slerp", [0.25, 0.75], sines="raw")
    assert found == pytest.approx([2 * np.sin(np.pi / 8), np.sin(3 * np.pi / 8)])
    assert merge_one([[0, 0], [0, 1]], "slerp", sines="raw") == pytest.approx([0, half])  # as at a right angle
    assert merge_one([[1, 1], [3, 3]], "slerp", sines="raw") == [2, 2]


def test_karcher_can_be_spherical_for_nearly_parallel_sources():
    angle = 0.01  # cos 0.99995: linear by default
    rows = [[1, 0], [2 * np.cos(angle), 2 * np.sin(angle)]]
    spherical = 1.5 * np.array([np.cos(angle / 2), np.sin(angle / 2)])
    assert merge_one(rows, "karcher", parallel=1) == pytest.approx(spherical, rel=1e-5)
    assert merge_one(rows, "karcher") == pytest.approx(np.mean(rows, axis=0), rel=1e-6)


def test_model_stock_without_clip_turns_away_from_the_mean():
    rows = [[1, 0], [-0.5, np.sqrt(0.75)]]  # cos −½: r = 2·(−½)/(1−½) = −2
    assert merge_one(rows, "model_stock", clip=False) == pytest.approx(-2 * np.mean(rows, axis=0), rel=1e-6)
    assert merge_one(rows, "model_stock") == [0, 0]
    assert merge_one([[1, 2], [-1, -2]], "model_stock", clip=False) == [0, 0]
    assert merge_one([[1, 1], [1, 0]], "model_stock", clip=False) == merge_one([[1, 1], [1, 0]], "model_stock")


# --- per_source

ROWS = [[4, 3, 2, 1], [8, 6, 4, 2], [1, 1, 1, 5]]


def test_each_source_is_trimmed_to_its_own_density():
    # [4, 0, 0, 0]; as it is; [1, 0, 0, 5]: sums of thirds
    own = {NAMES[0]: {"density": 0.25}, NAMES[1]: None}
    found = merge_one(ROWS, "per_source", inner="ties", inner_parameters={"density": 0.5}, by_source=own)
    assert found == pytest.approx(np.array([13, 6, 4, 7]) / 3)


def test_the_weights_belong_to_the_last_merge():
    found = merge_one(ROWS[:2], "per_source", [0.75, 0.25], inner="ties", inner_parameters={"density": 0.5})
    assert found == [0.75 * 4 + 0.25 * 8, 0.75 * 3 + 0.25 * 6, 0, 0]


def test_masks_are_the_same_as_in_one_go():
    values = np.random.default_rng(0).normal(size=(3, 64))
    inner = {"inner": "dare_linear", "inner_parameters": {"drop_rate": 0.25}}
    assert merge_one(values, "per_source", **inner) == pytest.approx(
        merge_one(values, "dare_linear", drop_rate=0.25), abs=1e-6
    )


def test_a_source_that_is_not_merged_counts_for_nothing():
    plain = merge_one(ROWS, "per_source", inner_parameters={"density": 0.5})
    assert merge_one(ROWS, "per_source", inner_parameters={"density": 0.5}, by_source={"xx": {"density": 1}}) == plain


def test_mistakes_within_are_found():
    with pytest.raises(XlmergeError, match="density ± epsilon"):
        merge_one(ROWS, "per_source", inner="della", by_source={NAMES[0]: {"density": 0.95}})
    with pytest.raises(XlmergeError, match="did you mean 'ties'"):
        merge_one(ROWS, "per_source", outer="tise")
