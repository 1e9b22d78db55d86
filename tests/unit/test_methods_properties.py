"""Every merge method against its plain reference on random small models, and what must not change a merge."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import merge_references as reference
from tests.unit.helpers import NAMES, piece_size
from tests.unit.merge_references import SHAPES, run
from workflow_scripts.core import registry
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import load_method

few = settings(max_examples=8, deadline=None)
GROUPS = dict(zip(NAMES, ["x", "y", "x", "y", "z"], strict=False))

# method, parameters: at least one entry per data-free method
METHODS = [
    ("average", {}),
    ("similarity", {}),
    ("task_arithmetic", {}),
    ("ties", {"density": 0.4}),
    ("ties", {"density": 0.4, "trim": "tensor", "vote": "unweighted"}),
    ("dare_linear", {"seed": 3}),
    ("dare_ties", {"drop_rate": 0.25}),
    ("dare_ties", {"drop_rate": 0.75, "normalize": True, "scaling": 0.5}),
    ("della", {"density": 0.6}),
    ("della", {"density": 0.5, "epsilon": 0.3, "normalize": True}),
    ("breadcrumbs", {"density": 0.5, "gamma": 0.2}),
    ("karcher", {}),
    ("model_stock", {}),
    ("sce", {"ratio": 0.4}),
    ("pcb", {"ratio": 0.5}),
    ("consensus", {"mask_threshold": 0.7}),
    ("directional_consensus", {}),
    ("tsv_m", {"scaling": 0.5}),
    ("iso_c", {}),
    ("score", {}),
    ("calibrated", {}),
    ("calibrated", {"inner": "ties", "inner_parameters": {"density": 0.5}, "alpha": 0.5}),
    ("regmean", {"statistics": "free"}),
    ("regmean", {"statistics": "free", "anchor": "tsv_m", "ridge": 0.5}),
    ("layer_swap", {"middle_from": "all", "outer": "ties", "outer_parameters": {"density": 0.4}, "middle": "karcher"}),
    ("hierarchical", {"inner": "ties", "inner_parameters": {"density": 0.4}, "outer": "karcher"}),
    ("per_source", {"inner": "della", "inner_parameters": {"density": 0.6}, "outer": "ties"}),
    ("slerp", {}),
    ("slerp", {"sines": "raw"}),
]
RANDOM = {"dare_linear", "dare_ties", "della"}
MASKED = {*RANDOM, "per_source"}  # masks belong to names
ids = [f"{name}-{i}" for i, (name, _) in enumerate(METHODS)]
each_method = pytest.mark.parametrize(("method", "parameters"), METHODS, ids=ids)


def model(generator: np.random.Generator, grid: bool) -> reference.Vector:
    """Normal or, on a grid, multiples of 1/128 with many ties; a third of the embedding's rows are 0."""
    draw = (lambda s: generator.integers(-12, 13, s) / 128) if grid else (lambda s: generator.normal(size=s) / 16)
    made = {name: draw(shape).astype(np.float32) for name, shape in SHAPES.items()}
    made[reference.EMBEDDING][generator.random(6) < 1 / 3] = 0
    return made


@st.composite
def merges(draw: st.DrawFn, grid: bool | None = None, k: int | None = None) -> tuple[list, list[float]]:
    """Models and weights in sixteenths: on a grid, sums are exact."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = k or draw(st.integers(1, 5))
    on_grid = draw(st.booleans()) if grid is None else grid
    weights = generator.multinomial(16, np.full(count, 1 / count)) / 16
    return [model(generator, on_grid) for _ in range(count)], weights.tolist()


def sources_for(method: str, data: tuple[list, list[float]]) -> tuple[list, list[float]]:
    """Cut a merge down to the two sources that slerp takes."""
    vectors, weights = data
    return (([*vectors, vectors[0]])[:2], [0.25, 0.75]) if method == "slerp" else (vectors, weights)


def alike(vector: reference.Vector) -> reference.Vector:
    """Turn a model towards the others: where directions point everywhere, there are several Karcher means."""
    return {name: value + np.float32(0.1) for name, value in vector.items()}


def go(vectors, method, weights, parameters, **more) -> reference.Vector:
    return run(vectors, method, weights, groups=GROUPS, **parameters, **more)


def bits(merged: reference.Vector) -> dict[str, bytes]:
    return {name: (value + 0.0).tobytes() for name, value in merged.items()}  # −0 is 0


def assert_close(found: reference.Vector, expected: reference.Vector, rtol: float = 2e-5, atol: float = 2e-7) -> None:
    assert set(found) <= set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found.get(name, np.zeros(())), value, rtol=rtol, atol=atol, err_msg=name)


def test_every_data_free_method_is_here():
    data_free = {name for name in registry.names("merge method") if not load_method(name, {}).needs_data}
    assert {name for name, _ in METHODS} == data_free | {"regmean"}


# --- against the references

by_matrix = partial(reference.by_matrix, is_matrix=lambda name, value: ".layer." in name and value.ndim == 2)
COMPARED = [
    *(
        (name, parameters, getattr(reference, name))
        for name, parameters in [
            *METHODS[:3],
            *((m, p) for m, p in METHODS if m in RANDOM),
            ("breadcrumbs", {"density": 0.5, "gamma": 0.2}),
            ("breadcrumbs", {"density": 0.9, "gamma": 0.3, "scaling": 1.0}),
            ("consensus", {"mask_threshold": 0.75}),
            ("consensus", {"mask_threshold": 1.5, "min_agree": 1}),
            ("sce", {}),
            ("sce", {"ratio": 0.5}),
            ("pcb", {}),
            ("pcb", {"ratio": 0.5, "scaling": 0.5}),
            ("karcher", {}),
            ("slerp", {}),
            ("model_stock", {}),
            ("directional_consensus", {}),
        ]
    ),
    ("ties", {}, reference.ties),
    ("ties", {"density": 0.55, "trim": "tensor", "vote": "unweighted", "scaling": 2.0}, reference.ties),
]


@pytest.mark.parametrize(("method", "parameters", "plain"), COMPARED, ids=lambda v: v if isinstance(v, str) else "")
@few
@given(on_grid=merges(grid=True), off_grid=merges(grid=False), choose=st.booleans())
def test_agrees_with_the_reference(method, parameters, plain, on_grid, off_grid, choose):
    # della rescales before it votes: on a grid, rounding decides ties
    vectors, weights = sources_for(method, on_grid if choose and method != "della" else off_grid)
    if method == "karcher":
        vectors = [alike(v) for v in vectors]
    extra = {"names": NAMES[: len(vectors)]} if method in RANDOM else {}
    expected = plain(vectors, weights, **extra, **parameters)
    assert_close(go(vectors, method, weights, parameters), expected)


@pytest.mark.parametrize(
    ("method", "plain"), [("tsv_m", reference.tsv_matrix), ("iso_c", reference.iso_matrix)], ids=["tsv_m", "iso_c"]
)
@few
@given(data=merges(grid=False))
def test_matrix_methods_agree_with_the_reference(method, plain, data):
    vectors, weights = data
    assert_close(run(vectors, method, weights, scaling=1.0), by_matrix(plain, vectors), rtol=1e-3, atol=1e-5)


@few
@given(data=merges(grid=False))
def test_score_agrees_with_the_reference(data):
    vectors, weights = data
    assert_close(run(vectors, "score", weights), by_matrix(reference.score_matrix, vectors), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("inner", "factor"), [("average", 1.0), ("similarity", 2.0)])
@few
@given(data=merges(grid=False))
def test_calibrated_agrees_with_the_reference(inner, factor, data):
    vectors, weights = data
    shares = weights if inner == "similarity" else [1 / len(vectors)] * len(vectors)

    def rule(matrices: list[np.ndarray]) -> np.ndarray:
        merged = factor * sum(w * m for w, m in zip(shares, matrices, strict=True))
        return reference.calibrated_matrix(merged, matrices)

    expected = by_matrix(rule, vectors, weights=[factor * s for s in shares])
    parameters = {"inner": inner, "inner_parameters": {"scaling": factor}}
    assert_close(run(vectors, "calibrated", weights, **parameters), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("anchored", [False, True])
@few
@given(data=merges(grid=False), ridge=st.sampled_from([0.01, 0.1, 1.0]))
def test_regmean_without_data_solves_its_least_squares_problem(anchored, data, ridge):
    vectors, weights = data

    def rule(matrices: list[np.ndarray]) -> np.ndarray:
        anchor = reference.tsv_matrix(matrices) if anchored else None
        return reference.free_regmean_matrix(matrices, weights, ridge, anchor)

    parameters = {"statistics": "free", "ridge": ridge, **({"anchor": "tsv_m"} if anchored else {})}
    found = run(vectors, "regmean", weights, **parameters)
    assert_close(found, by_matrix(rule, vectors, weights=weights), rtol=1e-3, atol=1e-5)


@few
@given(data=merges(grid=False, k=5))
def test_hierarchical_agrees_with_merges_by_hand(data):
    vectors, weights = [alike(v) for v in data[0]], data[1]
    weights = [(w + 1 / 16) * 16 / 21 for w in weights]  # none is 0
    groups = [[0, 2], [1, 3], [4]]
    inner = [
        reference.ties([vectors[i] for i in g], [weights[i] / sum(weights[j] for j in g) for i in g], density=0.4)
        for g in groups[:2]
    ]
    for share, given_weights in (("equal", [1 / 3] * 3), ("summed", [sum(weights[i] for i in g) for g in groups])):
        expected = reference.karcher([*inner, vectors[4]], given_weights)
        parameters = {"inner": "ties", "inner_parameters": {"density": 0.4}, "outer": "karcher", "group_weights": share}
        assert_close(go(vectors, "hierarchical", weights, parameters), expected)


# --- what must not change a merge


@each_method
@few
@given(data=merges(), random=st.randoms(use_true_random=False))
def test_order_of_sources_does_not_matter(method, parameters, data, random):
    vectors, weights = sources_for(method, data)
    order = random.sample(range(len(vectors)), len(vectors))
    shuffled = {"names": [NAMES[i] for i in order]}
    found = go([vectors[i] for i in order], method, [weights[i] for i in order], parameters, **shuffled)
    assert bits(found) == bits(go(vectors, method, weights, parameters))


@pytest.mark.parametrize(("method", "parameters"), [m for m in METHODS if m[0] not in {*MASKED, "hierarchical"}])
@few
@given(data=merges(), random=st.randoms(use_true_random=False))
def test_names_of_sources_do_not_matter_without_masks(method, parameters, data, random):
    vectors, weights = sources_for(method, data)
    names = random.sample(NAMES, len(vectors))
    expected = go(vectors, method, weights, parameters)
    found = run(vectors, method, weights, names=names, **parameters)
    assert_close(found, expected, rtol=1e-4, atol=1e-6)


@each_method
@few
@given(data=merges(), size=st.sampled_from([1, 3, 4, 7, 16]))
def test_any_piece_size_gives_the_same_bits(method, parameters, data, size):
    vectors, weights = sources_for(method, data)
    expected = bits(go(vectors, method, weights, parameters))
    with piece_size(size):
        assert bits(go(vectors, method, weights, parameters)) == expected


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        *METHODS,
        ("ties", {"density": 0.2, "count": "all"}),
        ("breadcrumbs", {"density": 0.4, "gamma": 0.1, "count": "all"}),
        ("sce", {"ratio": 0.2, "count": "all"}),
        ("della", {"count": "all"}),
        ("della", {"rescale": "l1", "count": "all"}),
        ("dare_ties", {"rescale": "l1"}),
        ("ties", {"normalize": False}),
        ("sce", {}),
    ],
)
@few
@given(data=merges())
def test_rows_stored_sparsely_merge_like_whole_tensors(method, parameters, data):
    vectors, weights = sources_for(method, data)
    vectors = [{**v, reference.EMBEDDING: v[reference.EMBEDDING] * (np.arange(6) != 2)[:, None]} for v in vectors]
    dense, sparse = (go(vectors, method, weights, parameters, sparse=s) for s in (False, True))
    assert_close(sparse, dense, rtol=1e-6, atol=1e-9)


@each_method
def test_zero_task_vectors_give_zero(method, parameters):
    zero = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    merged = go([zero] * 2, method, None, parameters)
    assert set(merged) == set(SHAPES)
    assert not any(v.any() for v in merged.values())


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("average", {}),
        ("similarity", {}),
        ("task_arithmetic", {"scaling": 1}),
        ("ties", {"density": 1}),
        ("dare_linear", {"drop_rate": 0}),
        ("dare_ties", {"drop_rate": 0}),
        ("breadcrumbs", {"density": 1, "gamma": 0, "scaling": 1}),
        ("karcher", {}),
        ("model_stock", {}),
        ("consensus", {"min_agree": 1, "scaling": 1}),
        ("directional_consensus", {}),
        ("tsv_m", {}),
        ("score", {}),
        ("calibrated", {"inner": "average"}),
        ("regmean", {"statistics": "free", "anchor": "average"}),
        ("layer_swap", {"middle_from": "all"}),
        ("sce", {}),
        ("hierarchical", {}),
    ],
)
def test_one_source_is_returned(method, parameters):
    source = model(np.random.default_rng(1), grid=False)
    exact = {} if method in {"tsv_m", "score", "calibrated", "regmean"} else {"rtol": 1e-7, "atol": 0}
    assert_close(go([source], method, None, parameters), source, **exact)


@each_method
@few
@given(data=merges(grid=False), scaling=st.sampled_from([-1.0, 0.25, 0.7, 2.8]))
def test_scaling_stretches_the_result_of_every_method(method, parameters, data, scaling):
    vectors, weights = sources_for(method, data)
    whole, scaled = (go(vectors, method, weights, {**parameters, "scaling": s}) for s in (1.0, scaling))
    assert_close(scaled, {n: v * np.float32(scaling) for n, v in whole.items()}, rtol=1e-5)


@pytest.mark.parametrize(("method", "parameters"), [("average", {}), ("karcher", {}), ("hierarchical", {})])
def test_scaling_of_one_changes_no_bit(method, parameters):
    generator = np.random.default_rng(2)
    vectors = [model(generator, grid=False) for _ in range(3)]
    assert bits(go(vectors, method, None, {"scaling": 1.0})) == bits(go(vectors, method, None, {}))


@pytest.mark.parametrize("method", ["fisher", "regmean", "adamerging"])
def test_what_needs_data_is_scaled_like_the_others(method):
    scaled = load_method(method, {"scaling": 0.5})
    elements = lambda *_, **__: np.ones(3, np.float32)  # noqa: E731
    assert replace(scaled, function=elements)(None).tolist() == [0.5] * 3


def test_scaling_within_a_combination_and_of_it_multiply():
    vectors = [model(np.random.default_rng(3), grid=False) for _ in range(3)]
    inner = {"outer": "average", "outer_parameters": {"scaling": 0.5}}
    both, plain = (go(vectors, "hierarchical", None, p) for p in ({**inner, "scaling": 3.0}, {"outer": "average"}))
    assert_close(both, {n: v * np.float32(1.5) for n, v in plain.items()}, rtol=1e-5)


def test_names_must_be_distinct():
    source = model(np.random.default_rng(1), grid=False)
    with pytest.raises(XlmergeError, match="distinct"):
        run([source, source], "average", names=["a", "a"])
