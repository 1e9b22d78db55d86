"""Exact thresholds found by a bracket from a sample, and by radix where the bracket fails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.helpers import merge, piece_size
from workflow_scripts.merging import trimming
from workflow_scripts.merging.trimming import (
    LARGEST,
    Bracket,
    brackets,
    exact_thresholds,
    find,
    magnitude_keys,
    radix_search,
)

few = settings(max_examples=60, deadline=None)


def passes(keys: np.ndarray, size: int = 7):
    return lambda: ((i, keys[i : i + size]) for i in range(0, len(keys), size))


def kept(keys: np.ndarray, rank: int) -> np.ndarray:
    """Which keys a full sort keeps, ties by position."""
    mask = np.zeros(len(keys), bool)
    mask[np.argsort(-keys.astype(np.int64), kind="stable")[: min(rank, np.count_nonzero(keys))]] = True
    return mask


some_keys = st.lists(st.sampled_from([0, 0, 1, 2, 65535, 65536, 65537, LARGEST - 1]) | st.integers(0, LARGEST - 1))
lists_of_keys = some_keys.filter(len).map(lambda v: np.array(v, np.uint32))


@few
@given(keys=lists_of_keys, data=st.data())
def test_radix_search_finds_what_sorting_finds(keys, data):
    nonzero = np.count_nonzero(keys)
    if not nonzero:
        return
    rank = data.draw(st.integers(1, nonzero))
    found = radix_search(passes(keys), rank)
    assert found.key == np.sort(keys)[-rank]
    assert (found.larger, found.equal) == ((keys > found.key).sum(), (keys == found.key).sum())


@few
@given(keys=lists_of_keys, ranks=st.lists(st.integers(0, 30), min_size=1, max_size=3), sampled=st.booleans())
def test_thresholds_keep_what_sorting_keeps(keys, ranks, sampled):
    sample = keys[:: max(1, len(keys) // 3)][:3].reshape(-1, 1) if sampled else None
    for threshold, rank in zip(exact_thresholds(passes(keys), lambda *_: ranks, sample), ranks, strict=True):
        found = np.concatenate([threshold.keep(keys[i : i + 4], i) for i in range(0, len(keys), 4)])
        np.testing.assert_array_equal(found, kept(keys, rank))
        assert (threshold.kept, threshold.nonzero) == (kept(keys, rank).sum(), np.count_nonzero(keys))


@pytest.mark.parametrize("bracket", [Bracket(1, 10), Bracket(90, 99), Bracket(500, LARGEST)])
def test_a_bracket_that_misses_is_no_harm(bracket):
    keys = np.arange(1, 101, dtype=np.uint32)
    bracket.count(keys)
    assert find(passes(keys), 50, bracket).key == 51


def test_a_bracket_that_holds_too_much_is_given_up(monkeypatch):
    monkeypatch.setattr(trimming, "COLLECTED", 10)
    keys = np.arange(1, 101, dtype=np.uint32)
    bracket = Bracket(1, LARGEST)
    for _, part in passes(keys)():
        bracket.count(part)
    assert bracket.inside is None
    assert find(passes(keys), 50, bracket).key == 51


def test_brackets_are_narrow_and_wider_where_chunks_differ():
    generator = np.random.default_rng(0)
    even = magnitude_keys(generator.normal(size=(1000, 64)).astype(np.float32))
    uneven = magnitude_keys((generator.normal(size=(1000, 64)) * np.exp(generator.normal(size=(1000, 1)))).astype("f4"))
    widths = []
    for sample in (even, uneven):
        (bracket,) = brackets(sample, lambda nonzero, total: [nonzero // 5])
        exact = np.sort(sample.ravel())[-(sample.size // 5)]
        assert bracket.low <= exact <= bracket.high
        widths.append(np.mean((sample >= bracket.low) & (sample <= bracket.high)))
    assert widths[0] < 0.03
    assert widths[0] < widths[1] < 0.2


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("ties", {}),
        ("ties", {"trim": "tensor", "density": 0.5}),
        ("ties", {"count": "all"}),
        ("breadcrumbs", {"gamma": 0.05, "density": 0.6}),
        ("sce", {"ratio": 0.1}),
        ("pcb", {}),
    ],
)
@pytest.mark.parametrize("collected", [1 << 24, 50])
def test_sampling_does_not_change_a_merge(method, parameters, collected, monkeypatch):
    generator = np.random.default_rng(3)
    vectors = [{n: generator.normal(size=s) * scale for n, s, scale in LARGE} for _ in range(3)]
    vectors[1]["rows"][::2] = 0
    expected = merge(vectors, method, **parameters)
    for name, value in (("SMALL", 0), ("CHUNKS", 200), ("CHUNK", 16)):
        monkeypatch.setattr(trimming, name, value)
    monkeypatch.setattr(trimming, "COLLECTED", collected)
    with piece_size(1000):
        found = merge(vectors, method, **parameters)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


LARGE = [("a", (7,), 1.0), ("matrix", (150, 200), 1e-3), ("rows", (400, 30), 1e-2), ("z", (3, 5), 10.0)]
