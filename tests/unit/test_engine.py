"""The streaming engine: what must not change a merge, and what must stop it."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.unit.helpers import NAMES, Rows, merge, merge_with_facts, piece_size, read_vector, sources_of, write_vector
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.engine import merge_files
from workflow_scripts.merging.pieces import Layout
from workflow_scripts.merging.streaming import TensorFile
from workflow_scripts.merging.trimming import exact_threshold

METHODS = [
    ("average", {}),
    ("similarity", {}),
    ("ties", {"density": 0.4}),
    ("ties", {"density": 0.4, "trim": "tensor", "vote": "unweighted"}),
]
HEIGHTS = {"emb": 6}
few = settings(max_examples=25, deadline=None)

# Eighths: sums and products with weights in sixteenths are exact, so results must agree to the last bit.
eighths = st.sampled_from([0, 0, 0, *range(-12, 13)]).map(lambda v: v / 8)


def block(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, shape, elements=eighths)


@st.composite
def sources(draw: st.DrawFn) -> list[dict[str, np.ndarray]]:
    """Up to four task vectors; now and then one lacks a tensor."""
    vectors = []
    for _ in range(draw(st.integers(1, 4))):
        vector = {"a": draw(block(5)), "b": draw(block(4, 3)), "emb": draw(block(HEIGHTS["emb"], 2))}
        for name in draw(st.sets(st.sampled_from(["a", "b"]), max_size=1)):
            del vector[name]
        vectors.append(vector)
    return vectors


@st.composite
def weighted_sources(draw: st.DrawFn) -> tuple[list[dict[str, np.ndarray]], list[float]]:
    vectors = draw(sources())
    cuts = sorted(draw(st.lists(st.integers(0, 16), min_size=len(vectors) - 1, max_size=len(vectors) - 1)))
    shares = np.diff([0, *cuts, 16])
    return vectors, (shares / 16).tolist()


def by_rows(vector: dict[str, np.ndarray]) -> dict[str, np.ndarray | Rows]:
    """Store only the rows of the embedding that changed."""
    changed = np.flatnonzero(vector["emb"].any(1))
    return {**vector, "emb": Rows(changed.tolist(), vector["emb"][changed])}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Equal values; a tensor that is missing is 0."""
    for name in {*found, *expected}:
        left, right = found.get(name, np.float32(0)), expected.get(name, np.float32(0))
        np.testing.assert_array_equal(left, right, err_msg=name)


# --- what must not change a merge


@pytest.mark.parametrize(("method", "parameters"), METHODS)
@few
@given(data=weighted_sources(), stored=st.lists(st.booleans(), min_size=4, max_size=4))
def test_rows_stored_sparsely_merge_like_whole_tensors(method, parameters, data, stored):
    vectors, weights = data
    sparse = [by_rows(v) if s else v for v, s in zip(vectors, [True, *stored], strict=False)]
    found = merge(sparse, method, weights, heights=HEIGHTS, **parameters)
    assert_same(found, merge(vectors, method, weights, **parameters))


@pytest.mark.parametrize(
    ("shapes", "density", "kept"),
    [
        ({"emb": (10, 2)}, 0.15, 3),  # ⌊0.15·20⌋, of which 4 are not 0
        ({"emb": (10, 2), "frozen": (20,)}, 0.05, 2),  # ⌊0.05·40⌋: what no source changed counts, too
    ],
)
@pytest.mark.parametrize("by_row", [False, True])
def test_count_all_does_not_depend_on_how_rows_are_stored(shapes, density, kept, by_row):
    whole = np.zeros((10, 2), np.float32)
    whole[[2, 5]] = [[4, 3], [2, 1]]
    vector = {"emb": Rows([2, 5], whole[[2, 5]]) if by_row else whole}
    layout = Layout(shapes=shapes)
    merged = merge([vector], "ties", density=density, count="all", heights={"emb": 10}, layout=layout)
    assert_same(merged, {"emb": np.where(whole > 4 - kept, whole, 0)})


@pytest.mark.parametrize(("method", "parameters"), METHODS)
@few
@given(data=weighted_sources(), size=st.sampled_from([1, 2, 3, 5, 7, 12]))
def test_any_piece_size_gives_the_same_bits(method, parameters, data, size):
    vectors, weights = data
    sparse = [by_rows(v) for v in vectors]
    expected = merge(sparse, method, weights, heights=HEIGHTS, **parameters)
    with piece_size(size):
        found = merge(sparse, method, weights, heights=HEIGHTS, **parameters)
    assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in expected.items()}


def rounding_sources(count: int) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    return [{"a": generator.normal(size=1000).astype(np.float32)} for _ in range(count)]


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize(
    ("method", "parameters"),
    [("average", {}), ("similarity", {}), ("ties", {"density": 0.9})],
)
def test_any_piece_size_gives_the_same_bits_where_sums_round(method, parameters, size):
    vectors, weights = rounding_sources(5), [0.3, 0.25, 0.2, 0.15, 0.1]
    expected = merge(vectors, method, weights, **parameters)["a"]
    with piece_size(size):
        assert merge(vectors, method, weights, **parameters)["a"].tobytes() == expected.tobytes()


def test_average_of_many_sources_has_the_same_bits_in_pieces_of_one_element():
    expected = merge(rounding_sources(9), "average")["a"]
    with piece_size(1):
        assert merge(rounding_sources(9), "average")["a"].tobytes() == expected.tobytes()


@pytest.mark.parametrize(("method", "parameters"), METHODS)
@few
@given(data=weighted_sources(), random=st.randoms(use_true_random=False))
def test_order_of_sources_does_not_matter(method, parameters, data, random):
    vectors, weights = data
    order = random.sample(range(len(vectors)), len(vectors))
    found = merge([vectors[i] for i in order], method, [weights[i] for i in order], **parameters)
    expected = merge(vectors, method, weights, **parameters)
    for name in {*found, *expected}:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("method", "parameters"), [("average", {}), ("similarity", {}), ("ties", {"density": 1})])
@few
@given(values=arrays(np.float32, 9, elements=st.floats(-1e9, 1e9, width=32)))
def test_one_source_is_returned_as_it_is(method, parameters, values):
    np.testing.assert_array_equal(merge([{"a": values}], method, **parameters)["a"], values)


@pytest.mark.parametrize(("method", "parameters"), METHODS)
def test_zero_task_vectors_give_zero(method, parameters):
    zero = {"a": np.zeros(3), "b": np.zeros((2, 2))}
    merged = merge([zero, {"a": np.zeros(3)}, {}], method, **parameters)
    assert set(merged) == {"a", "b"}
    assert not any(v.any() for v in merged.values())


@pytest.mark.parametrize(("method", "parameters"), METHODS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_storage_is_read_exactly(method, parameters, dtype):
    generator = np.random.default_rng(1)
    tiny = [0.0, -0.0, 6e-8, -6e-8, 60000, -1.5]  # 6e-8: subnormal in float16
    vectors = [
        {"a": np.array([*generator.normal(size=20), *tiny]), "emb": Rows([1, 4], generator.normal(size=(2, 3)))}
        for _ in range(2)
    ]
    as_stored = [
        {
            "a": torch.tensor(v["a"]).to(dtype).float().numpy(),
            "emb": Rows([1, 4], torch.tensor(v["emb"].values).to(dtype).float().numpy()),
        }
        for v in vectors
    ]
    found = merge(vectors, method, dtype=dtype, heights=HEIGHTS, **parameters)
    assert_same(found, merge(as_stored, method, heights=HEIGHTS, **parameters))
    assert np.any(found["a"] != merge(vectors, method, heights=HEIGHTS, **parameters)["a"]), "storage did not round"


def test_elements_are_counted_once_however_many_pieces():
    with piece_size(2):
        _, facts = merge_with_facts([{"a": [1, 0, 2, 0, 3]}], "average")
    assert (facts.elements, facts.nonzero, facts.squared_norm) == ({"a": 5}, {"a": 3}, {"a": 14.0})  # 1 + 4 + 9


# --- what must stop it


def merge_paths(paths: list[Path], out: Path, method: str = "average") -> None:
    merge_files(sources_of(paths), method, {}, out, {"base": "base"})


MISFITS = {
    "whole tensors": ({"w": np.ones((2, 3))}, {"w": np.ones((3, 2))}),
    "other rank": ({"w": np.ones(6)}, {"w": np.ones((2, 3))}),
    "rows of other width": ({"w": Rows([0], np.ones((1, 3)))}, {"w": Rows([0], np.ones((1, 2)))}),
    "rows and whole": ({"w": np.ones((4, 3))}, {"w": Rows([0], np.ones((1, 2)))}),
}


@pytest.mark.parametrize("case", MISFITS)
def test_shapes_that_differ_name_tensor_sources_and_shapes(case, tmp_path):
    paths = [write_vector(tmp_path / f"{i}.safetensors", v) for i, v in enumerate(MISFITS[case])]
    with pytest.raises(XlmergeError, match="tensor w") as caught:
        merge_paths(paths, tmp_path / "out.safetensors")
    shapes = [v["w"].values.shape if isinstance(v["w"], Rows) else v["w"].shape for v in MISFITS[case]]
    for name, shape in zip(NAMES, shapes, strict=False):
        assert f"{name} {shape}" in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["average", "similarity", "ties"])
def test_values_that_are_not_finite_name_tensor_and_sources_and_leave_no_file(method, bad, tmp_path):
    vectors = [{"a": [1.0, 2.0], "w": [[1.0, bad]]}, {"a": [1.0, 2.0], "w": [[1.0, 1.0]]}]
    paths = [write_vector(tmp_path / f"{i}.safetensors", v) for i, v in enumerate(vectors)]
    with pytest.raises(XlmergeError, match=r"tensor w is not finite.*de-DE, fr-FR"):
        merge_paths(paths, tmp_path / "out.safetensors", method)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.safetensors", "1.safetensors"]


def test_an_existing_result_survives_a_merge_that_fails(tmp_path):
    good, bad = (
        write_vector(tmp_path / name, {"a": [value]}) for name, value in [("good", 1.0), ("bad", float("nan"))]
    )
    out = tmp_path / "out.safetensors"
    merge_paths([good], out)
    before = out.read_bytes()
    with pytest.raises(XlmergeError):
        merge_paths([bad], out)
    assert out.read_bytes() == before


@pytest.mark.parametrize("missing", [1, 7, 30])
def test_a_file_cut_short_is_named(missing, tmp_path):
    path = write_vector(tmp_path / "short.safetensors", {"a": np.ones(4), "b": np.ones(4)})
    os.truncate(path, path.stat().st_size - missing)
    with pytest.raises(XlmergeError, match=r"short\.safetensors is cut short"):
        merge_paths([path], tmp_path / "out.safetensors")


def test_every_truncation_of_a_file_is_an_error(tmp_path):
    path = write_vector(tmp_path / "short.safetensors", {"a": [1.0]})
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        with pytest.raises(XlmergeError, match=r"short\.safetensors"):
            TensorFile(path)


def test_a_file_that_has_grown_is_an_error(tmp_path):
    path = write_vector(tmp_path / "long.safetensors", {"a": [1.0]})
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(XlmergeError, match=r"long\.safetensors"):
        TensorFile(path)


@pytest.mark.parametrize("kind", ["text", "ff", "list"])
def test_a_file_of_another_kind_is_an_error(kind, tmp_path):
    header = (2).to_bytes(8, "little")
    path = tmp_path / "other.safetensors"
    path.write_bytes({"text": b"this is no safetensors file", "ff": b"\xff" * 64, "list": header + b"[]"}[kind])
    with pytest.raises(XlmergeError, match=r"other\.safetensors"):
        TensorFile(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(XlmergeError, match=r"nowhere\.safetensors"):
        merge_paths([tmp_path / "nowhere.safetensors"], tmp_path / "out.safetensors")


def test_the_result_reads_as_a_task_vector_of_its_base(tmp_path):
    from workflow_scripts.models.checkpoints import load_task_vector

    path = write_vector(tmp_path / "in.safetensors", {"w": [[1.0, 2.0]], "emb": Rows([3, 5], [[1.0], [2.0]])})
    merge_paths([path], tmp_path / "out.safetensors")
    vector = load_task_vector(tmp_path / "out.safetensors", "base")
    assert vector.dense["w"].tolist() == [[1, 2]]
    rows, values = vector.rows["emb"]
    assert (rows.tolist(), values.tolist()) == ([3, 5], [[1], [2]])
    assert read_vector(tmp_path / "out.safetensors", {"emb": 6})["emb"].ravel().tolist() == [0, 0, 0, 1, 0, 2]


# --- exact thresholds


def largest(values: np.ndarray, density: float, count_all: bool) -> np.ndarray:
    """Which elements a full sort keeps: by magnitude, then by position."""
    nonzero = np.flatnonzero(values)
    wanted = max(1, int(density * (len(values) if count_all else len(nonzero))))
    order = np.lexsort((nonzero, -np.abs(values[nonzero].astype(np.float64))))
    keep = np.zeros(len(values), bool)
    keep[nonzero[order[:wanted]]] = True
    return keep


def chunks(values: np.ndarray, size: int):
    return ((i, values[i : i + size].copy()) for i in range(0, len(values), size))


ties = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1.0000001, 2.0, -2.0])
any_float = st.one_of(ties, st.floats(width=32, allow_nan=False), st.sampled_from([1e-45, -1e-45, 3.4e38, 1e-38]))


@settings(max_examples=150, deadline=None)
@given(
    values=arrays(np.float32, st.integers(1, 60), elements=any_float) | arrays(np.float32, 50, elements=ties),
    density=st.sampled_from([0.01, 0.1, 0.2, 0.5, 0.77, 1.0]),
    count_all=st.booleans(),
    scan=st.integers(1, 61),
    use=st.integers(1, 61),
)
@example(values=np.zeros(5, np.float32), density=0.5, count_all=True, scan=2, use=3)
@example(values=np.full(50, -1, np.float32), density=0.5, count_all=False, scan=7, use=11)
def test_thresholds_keep_what_a_full_sort_keeps(values, density, count_all, scan, use):
    threshold = exact_threshold(lambda: chunks(values, scan), density, count_all)
    keep = largest(values, density, count_all)
    found = np.concatenate([(threshold.apply(part, first), part)[1] for first, part in chunks(values, use)])
    np.testing.assert_array_equal(found, np.where(keep, values, 0))
    assert (threshold.kept, threshold.nonzero) == (keep.sum(), np.count_nonzero(values))


def test_thresholds_of_many_elements_in_few_bins():
    # 200 000 magnitudes between 1 and 1.01 agree in their upper half, most occur several times
    generator = np.random.default_rng(2)
    values = (1 + generator.integers(0, 50_000, 200_000) / 5e6).astype(np.float32)
    values *= generator.choice(np.float32([-1, 1]), 200_000)
    threshold = exact_threshold(lambda: chunks(values, 30_000), 0.2)
    kept = values.copy()
    threshold.apply(kept, 0)
    np.testing.assert_array_equal(kept != 0, largest(values, 0.2, False))
    assert np.count_nonzero(kept) == 40_000


def test_more_sources_than_a_process_may_open_is_said(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("workflow_scripts.merging.streaming.os.open", refuse)
    with pytest.raises(XlmergeError, match=r"may open no more files\. Raise the limit"):
        TensorFile(tmp_path / "model.safetensors")
