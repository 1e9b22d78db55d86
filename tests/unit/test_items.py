"""Correctness per item: written, read, paired."""

import numpy as np
import pytest

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.results.items import read_items, write_items

IDS, CLUSTERS = ["a/0", "a/1", "b/0"], ["a", "a", "b"]
ROWS = [
    ("", "self", 0, np.array([1.0, 1, 0])),
    ("", "self", 1, np.array([1.0, 0, 0])),
    ("e", "merge", 0, np.array([0.0, 1, 1])),
    ("e", "source_mean", 0, np.array([1 / 3, 2 / 3, 1])),
]


@pytest.fixture
def path(tmp_path):
    write_items(tmp_path / "de-DE.items.parquet", IDS, CLUSTERS, iter(ROWS))
    return tmp_path / "de-DE.items.parquet"


def test_what_is_written_is_read(path):
    items = read_items(path)
    assert items.ids.tolist() == IDS and items.clusters.tolist() == CLUSTERS
    assert list(items.correct) == [row[:3] for row in ROWS]
    for experiment, system, seed, correct in ROWS:
        np.testing.assert_allclose(items.correct[experiment, system, seed], correct, rtol=1e-7)


def test_means_are_over_the_seeds_of_a_system(path):
    items = read_items(path)
    assert items.seeds == {("", "self"): [0, 1], ("e", "merge"): [0], ("e", "source_mean"): [0]}
    assert items.per_seed("", "self").shape == (2, 3)
    assert items.mean("", "self").tolist() == [1, 0.5, 0]


def test_some_systems_alone_are_read(path):
    assert list(read_items(path, {"merge"}).correct) == [("e", "merge", 0)]
    assert read_items(path, {"nothing"}).correct == {}


def test_equal_items_are_equal_bytes(path):
    write_items(path.with_name("again"), IDS, CLUSTERS, ROWS)
    assert path.with_name("again").read_bytes() == path.read_bytes()


def test_a_damaged_file_is_named(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(XlmergeError, match=r"de-DE\.items\.parquet is damaged .* delete it and rerun"):
        read_items(path)
