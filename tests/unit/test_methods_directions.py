"""slerp, karcher, model_stock and directional_consensus on vectors whose angles are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.helpers import Rows, merge, merge_one
from tests.unit.merge_references import EMBEDDING, SHAPES, run
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.geometry import sphere_coefficients

few = settings(max_examples=60, deadline=None)


def close(*values: float):
    return pytest.approx(values, rel=1e-6, abs=1e-9)


# --- slerp


def test_slerp_of_a_right_angle():
    # ½: direction (√½, √½), norm (3+4)/2 = 3.5
    assert merge_one([[3, 0], [0, 4]], "slerp") == close(3.5 * 0.5**0.5, 3.5 * 0.5**0.5)


def test_slerp_with_weights():
    # ¼ of the way: direction (cos 22.5°, sin 22.5°), norm 0.75·3 + 0.25·4 = 3.25
    angle = np.pi / 8
    assert merge_one([[3, 0], [0, 4]], "slerp", [0.75, 0.25]) == close(3.25 * np.cos(angle), 3.25 * np.sin(angle))


@pytest.mark.parametrize(("second", "expected"), [([2, 0], 1.75), ([-2, 0], -1.25), ([0, 0], 0.25)])
def test_slerp_is_linear_where_there_is_no_angle(second, expected):
    # 0.25·1 + 0.75·2; 0.25·1 − 0.75·2; 0.25·1
    assert merge_one([[1, 0], second], "slerp", [0.25, 0.75]) == close(expected, 0)


def test_slerp_is_per_tensor():
    merged = merge([{"a": [3, 0], "b": [1]}, {"a": [0, 4], "b": [2]}], "slerp")
    assert merged["a"].tolist() == close(3.5 * 0.5**0.5, 3.5 * 0.5**0.5)
    assert merged["b"].tolist() == [1.5]


@pytest.mark.parametrize("count", [1, 3])
def test_slerp_takes_two_sources(count):
    with pytest.raises(XlmergeError, match=f"exactly 2 sources, not {count}"):
        merge_one([[1, 0]] * count, "slerp")


@pytest.mark.parametrize("method", ["slerp", "karcher"])
def test_interpolating_whole_weights(method):
    # θ = (3, 0) and (0, 4): as above (√½, √½)·3.5, minus θ₀ = (1, 0)
    base = {"a": [1, 0]}
    merged = run([{"a": [2, 0]}, {"a": [-1, 4]}], method, space="weights", base=base)["a"]
    assert merged.tolist() == close(3.5 * 0.5**0.5 - 1, 3.5 * 0.5**0.5)


def test_whole_weights_need_the_base():
    with pytest.raises(XlmergeError, match="needs θ₀"):
        merge_one([[1, 0], [0, 1]], "slerp", space="weights")


def test_stored_rows_must_be_as_wide_as_the_bases():
    vectors = [{EMBEDDING: Rows([0], [[1.0, 2]])}, {EMBEDDING: Rows([1], [[1.0, 2]])}]
    with pytest.raises(XlmergeError, match="different shapes"):
        run(vectors, "slerp", space="weights", base={EMBEDDING: np.ones((6, 4))})


def test_rows_that_nobody_changed_are_weights_too():
    generator = np.random.default_rng(0)
    base = {name: generator.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    vectors = [{n: generator.normal(size=s).astype(np.float32) for n, s in SHAPES.items()} for _ in range(2)]
    for vector in vectors:
        vector[EMBEDDING][[1, 4]] = 0
    dense, sparse = (run(vectors, "slerp", space="weights", base=base, sparse=s)[EMBEDDING] for s in (False, True))
    np.testing.assert_allclose(sparse, dense, rtol=1e-6)
    assert dense[1].any()  # the direction of θ₀'s own rows is turned as well


# --- karcher


def test_karcher_of_orthogonal_sources():
    # direction (1, 1, 1)/√3, norm (1 + 2 + 3)/3 = 2
    assert merge_one([[1, 0, 0], [0, 2, 0], [0, 0, 3]], "karcher") == close(*[2 / 3**0.5] * 3)


def test_karcher_on_a_circle_averages_angles():
    # 0.5·0° + 0.25·30° + 0.25·90° = 30°, norm 1
    sources = [[np.cos(a), np.sin(a)] for a in np.radians([0, 30, 90])]
    assert merge_one(sources, "karcher", [0.5, 0.25, 0.25]) == close(np.cos(np.pi / 6), 0.5)


def test_karcher_leaves_a_zero_vector_out_of_the_direction_only():
    # direction of the two others (√½, √½), norm (3 + 4 + 0)/3
    assert merge_one([[3, 0], [0, 4], [0, 0]], "karcher") == close(7 / 3 * 0.5**0.5, 7 / 3 * 0.5**0.5)


def test_karcher_of_parallel_sources_is_linear():
    assert merge_one([[1, 0], [2, 0], [-3, 0]], "karcher", [0.5, 0.25, 0.25]) == close(0.25, 0)


def test_karcher_of_two_is_slerp():
    rows, weights = np.random.default_rng(0).normal(size=(2, 9)), [0.3, 0.7]
    assert merge_one(rows, "karcher", weights) == pytest.approx(merge_one(rows, "slerp", weights), rel=1e-5)


@few
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 8), n=st.integers(1, 5))
def test_the_mean_direction_has_no_gradient_left(seed, k, n):
    """Also where there are more sources than dimensions, and directions all around."""
    generator = np.random.default_rng(seed)
    sources, weights = generator.normal(size=(k, n)), generator.dirichlet(np.ones(k))
    found = sphere_coefficients(sources @ sources.T, weights)
    if np.array_equal(found, weights):
        return  # parallel: linear
    mean, norms = found @ sources, np.linalg.norm(sources, axis=1)
    assert np.linalg.norm(mean) == pytest.approx(weights @ norms, rel=1e-6)
    mean /= np.linalg.norm(mean)
    units = sources / norms[:, None]
    across = units - (units @ mean)[:, None] * mean
    lengths = np.linalg.norm(across, axis=1)
    pulls = weights * np.arctan2(lengths, units @ mean) / lengths
    assert np.linalg.norm(pulls @ across) < 1e-5


# --- model_stock


def test_model_stock_shortens_the_mean():
    # cos 45° = √½: r = 2c/(1+c) = 0.828427; mean (1, 0.5)
    assert merge_one([[1, 0], [1, 1]], "model_stock") == close(0.8284271247, 0.4142135624)


def test_model_stock_of_three():
    # cosines 1, 0, 0: c = 1/3, r = 3c/(1+2c) = 0.6; mean (2, 1)
    assert merge_one([[3, 0], [3, 0], [0, 3]], "model_stock") == close(1.2, 0.6)


@pytest.mark.parametrize("second", [[0, 1], [-1, 1], [0, 0]])
def test_model_stock_of_sources_without_a_common_direction_is_the_base(second):
    # cosines 0, −√½ (r clipped to 0), not defined (0)
    assert merge_one([[1, 0], second], "model_stock") == [0, 0]


def test_model_stock_of_equal_sources_is_the_source():
    assert merge_one([[1, 2], [1, 2], [1, 2]], "model_stock", [0.5, 0.25, 0.25]) == close(1, 2)


# --- directional_consensus


def test_directional_consensus_projects_on_the_sum():
    # S = (3, 1), ‖S‖² = 10, ⟨τ₁, S⟩ = 6, ⟨τ₂, S⟩ = 4: (0.25·6 + 0.75·4)/10 = 0.45 times S
    assert merge_one([[2, 0], [1, 1]], "directional_consensus", [0.25, 0.75]) == close(1.35, 0.45)


def test_directional_consensus_with_equal_weights_is_the_average():
    assert merge_one([[2, 0], [1, 1]], "directional_consensus") == close(1.5, 0.5)


def test_directional_consensus_of_opposites_is_nothing():
    assert merge_one([[2, 1], [-2, -1]], "directional_consensus", [0.25, 0.75]) == [0, 0]
    assert merge_one([[0.1, 0], [0.2, 0], [-0.3, 0]], "directional_consensus", [0.5, 0.25, 0.25]) == close(0, 0)
