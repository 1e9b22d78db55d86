"""Methods for matrices, on such whose singular values can be read off."""

import numpy as np
import pytest

from tests.unit.merge_references import run
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.geometry import polar_factor, singular_triples
from workflow_scripts.merging.pieces import Layout

MATRIX = "enc.layer.0.dense.weight"


def merged_matrix(matrices, method, weights=None, **parameters) -> np.ndarray:
    return run([{MATRIX: np.array(m, float)} for m in matrices], method, weights, **parameters)[MATRIX]


def test_tsv_keeps_each_sources_leading_direction():
    # K = 2: rank 2/2 = 1 triple each, (e₁, 4, e₁) and (e₂, 6, e₂), already orthogonal
    assert merged_matrix([[[4, 0], [0, 1]], [[1, 0], [0, 6]]], "tsv_m") == pytest.approx(np.diag([4, 6]))


def test_tsv_makes_shared_directions_orthogonal():
    # Triples (e₁, 4, e₁) and (e₁, 6, e₁): U = (e₁ e₁), polar factor √½·(e₁ e₁): 4·½ + 6·½ = 5
    assert merged_matrix([[[4, 0], [0, 0]], [[6, 0], [0, 1]]], "tsv_m") == pytest.approx(np.diag([5, 0]), abs=1e-6)


def test_tsv_of_directions_at_an_angle():
    # Two triples with unit vectors at 60°, equal σ = 2, U = V: the polar factors are the symmetric orthonormal pair
    # around their bisector, at ±45°: 2·(p₁p₁ᵀ + p₂p₂ᵀ) = 2·I
    first, second = np.array([1, 0]), np.array([0.5, 0.75**0.5])
    matrices = [2 * np.outer(first, first), 2 * np.outer(second, second)]
    assert merged_matrix(matrices, "tsv_m") == pytest.approx(2 * np.eye(2), abs=1e-6)


def test_tsv_with_more_sources_than_rank_keeps_one_triple_each():
    # three sources of rank 1: U = (e₁ e₂ e₁): polar factor (√½e₁ e₂ √½e₁): 2·½ + 4·½ = 3 and 5
    matrices = [np.diag([2.0, 0]), np.diag([0, 5.0]), np.diag([4.0, 0])]
    assert merged_matrix(matrices, "tsv_m") == pytest.approx(np.diag([3, 5]), abs=1e-6)


def test_a_source_that_is_zero_brings_no_directions():
    assert merged_matrix([[[4, 0], [0, 1]], np.zeros((2, 2))], "tsv_m") == pytest.approx(np.diag([4, 0]), abs=1e-6)


def test_iso_flattens_the_spectrum_of_the_sum():
    # Σ = diag(3, 1), σ̄ = 2; λ = ½ gives 1. And a matrix that swaps the axes.
    assert merged_matrix([[[1, 0], [0, 1]], [[2, 0], [0, 0]]], "iso_c", scaling=1) == pytest.approx(np.diag([2, 2]))
    assert merged_matrix([[[0, 3], [1, 0]]], "iso_c", scaling=0.5) == pytest.approx(np.array([[0, 1], [1, 0]]))


def test_iso_leaves_undetermined_directions_at_zero():
    # σ = 4, 0: σ̄ = 2
    assert merged_matrix([np.diag([4.0, 0])], "iso_c", scaling=1) == pytest.approx(np.diag([2, 0]))


def test_iso_of_oblong_matrices_takes_the_mean_over_the_smaller_side():
    # σ = 5, 1: σ̄ = 3
    assert merged_matrix([[[5, 0, 0], [0, 1, 0]]], "iso_c", scaling=1) == pytest.approx(
        np.array([[3, 0, 0], [0, 3, 0]])
    )
    assert merged_matrix([[[5, 0], [0, 1], [0, 0]]], "iso_c", scaling=1) == pytest.approx(
        np.array([[3, 0], [0, 3], [0, 0]])
    )


def test_iso_without_a_length_is_as_long_for_any_number_of_sources_that_share_nothing():
    # K = 4: λ = 3/√4; Σ has σ = 1, 1, 1, 1, mean 1
    quarters = [np.diag(np.eye(4)[i]) for i in range(4)]
    assert merged_matrix(quarters, "iso_c") == pytest.approx(1.5 * np.eye(4))


# --- score


def test_score_takes_all_of_each_source_along_the_directions_of_every_source():
    # U = V = (e₁ e₂): M₁ = diag(4, 1), M₂ = diag(1, 6), nothing beside the diagonal; tsv_m would keep 4 and 6 only
    assert merged_matrix([[[4, 0], [0, 1]], [[1, 0], [0, 6]]], "score") == pytest.approx(np.diag([5, 7]))


def test_score_drops_what_one_direction_does_to_another():
    # K = 4, one direction each: U = V = I. M₁ has a 4 beside its diagonal, 11 zeros: mean ⅓, sd 1.106, and
    # 1.96·sd/4 = 0.54: the zeros stay (⅓ from the mean), the 4 goes. The others are diagonal.
    first = np.diag([9.0, 0, 0, 0])
    first[1, 2] = 4  # the leading direction is still e₁
    matrices = [first, *(np.diag(9.0 * np.eye(4)[i]) for i in (1, 2, 3))]
    assert merged_matrix(matrices, "score") == pytest.approx(9 * np.eye(4), abs=1e-5)


# --- calibrated


def test_calibrated_counts_a_shared_direction_once():
    # K = 2: along e₁ both sources do 4, the sum 8: twice each, 8·2/(2+2) = 4. Along e₂ only the first does anything, 2,
    # as the sum does: once, and the other counts ¼: 2·2/(1+¼) = 3.2
    both = {"inner": "task_arithmetic", "inner_parameters": {"scaling": 1}}
    assert merged_matrix([np.diag([4.0, 2]), np.diag([4.0, 0])], "calibrated", **both) == pytest.approx(
        np.diag([4, 3.2])
    )
    half = {**both, "alpha": 0.5}
    assert merged_matrix([np.diag([4.0, 2]), np.diag([4.0, 0])], "calibrated", **half) == pytest.approx(
        np.diag([4, 8 / 3])
    )


def test_calibrated_lets_sources_that_cancel_count_alpha():
    # along e₁: 6 − 2 = 4: shares 4/6, and −2 for the second, which counts ¼; along e₂ 3 of the first, ¼ of the second
    both = {"inner": "task_arithmetic", "inner_parameters": {"scaling": 1}}
    merged = merged_matrix([np.diag([6.0, 3]), np.diag([-2.0, 0])], "calibrated", **both)
    assert merged == pytest.approx(np.diag([4 * 2 / (2 / 3 + 0.25), 3 * 2 / 1.25]))


# --- regmean without data


def test_regmean_without_data_keeps_what_only_one_source_does():
    # inputs 1 and 2 belong to one source each, Ĝ₁ = e₁e₁ᵀ, Ĝ₂ = e₂e₂ᵀ: without a ridge each keeps its column whole;
    # with ridge 0.5, ε = 0.5·tr(½Ĝ₁ + ½Ĝ₂)/2 = ¼: a column is ½/(½ + ¼) of it
    matrices = [[[3, 0], [0, 0]], [[0, 0], [0, 6]]]
    assert merged_matrix(matrices, "regmean", statistics="free", ridge=0) == pytest.approx(np.diag([3, 6]))
    assert merged_matrix(matrices, "regmean", statistics="free", ridge=0.5) == pytest.approx(np.diag([2, 4]))
    # by default ε = 0.1·1/2
    assert merged_matrix(matrices, "regmean", statistics="free") == pytest.approx(np.diag([3, 6]) * 0.5 / 0.55)


def test_regmean_is_drawn_to_its_anchor():
    # the anchor is the mean, diag(1.5, 3): (½·3 + ¼·1.5)/(½ + ¼) = 2.5
    matrices = [[[3, 0], [0, 0]], [[0, 0], [0, 6]]]
    merged = merged_matrix(matrices, "regmean", statistics="free", ridge=0.5, anchor="average")
    assert merged == pytest.approx(np.diag([2.5, 5]))


def test_a_strong_ridge_leaves_the_anchor():
    # with a strong ridge nothing but the anchor is left
    matrices = [[[2, 0], [0, 0]], [[4, 0], [0, 0]]]
    anchored = merged_matrix(matrices, "regmean", [0.25, 0.75], statistics="free", anchor="tsv_m", ridge=1e6)
    assert anchored == pytest.approx(merged_matrix(matrices, "tsv_m"), rel=1e-4)


@pytest.mark.parametrize(
    ("method", "wrong", "message"),
    [
        ("regmean", {"anchor": "hierarchical"}, "anchor cannot be hierarchical"),
        ("regmean", {"statistics": "free", "anchor": "tsv_m", "ridge": 0}, "no effect with `ridge: 0`"),
        ("calibrated", {"inner": "per_source"}, "inner cannot be per_source, which is made of other merges"),
        ("calibrated", {"inner": "regmean"}, "inner cannot be regmean, which needs data"),
    ],
)
def test_what_matrix_methods_refuse(method, wrong, message):
    with pytest.raises(XlmergeError, match=message):
        merged_matrix([np.eye(2)], method, **wrong)


@pytest.mark.parametrize("method", ["tsv_m", "iso_c", "score"])
def test_all_but_the_encoders_matrices_are_averaged(method):
    layout = Layout("emb.weight", frozenset({"head.layer.0.weight"}), layers=1)
    names = ["emb.weight", "enc.layer.0.bias", "head.layer.0.weight", "enc.pooler.weight"]
    shapes = [(2, 2), (2,), (2, 2), (2, 2)]
    generator = np.random.default_rng(0)
    vectors = [
        {n: generator.normal(size=s).astype(np.float32) for n, s in zip(names, shapes, strict=True)} for _ in range(3)
    ]
    merged = run(vectors, method, [0.5, 0.3, 0.2], layout=layout, scaling=1)
    for name in names:
        np.testing.assert_allclose(merged[name], np.mean([v[name] for v in vectors], axis=0), rtol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (1, 7)])
def test_singular_triples_are_those_of_the_svd(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    u, sigma, v = singular_triples(matrix)
    np.testing.assert_allclose(sigma, np.linalg.svd(matrix, compute_uv=False), rtol=1e-12)
    np.testing.assert_allclose(u * sigma @ v.T, matrix, atol=1e-12)
    np.testing.assert_allclose(u.T @ u, np.eye(min(shape)), atol=1e-12)


def test_small_singular_values_are_exact_down_to_the_cut():
    generator = np.random.default_rng(0)
    left, right = (np.linalg.qr(generator.normal(size=(8, 8)))[0] for _ in range(2))
    true = np.array([1, 1e-1, 1e-2, 1e-3, 1e-4, 3e-6, 3e-7, 0])
    _, sigma, _ = singular_triples(left * true @ right.T)
    np.testing.assert_allclose(sigma, true[:6], rtol=1e-6)
    polar = polar_factor(left[:, :6] * true[:6] @ right[:, :6].T)
    np.testing.assert_allclose(polar, left[:, :6] @ right[:, :6].T, atol=1e-5)
