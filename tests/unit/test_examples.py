"""The contract of example tables, whatever provider they come from."""

import json

import pandas as pd
import pytest

from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import (
    examples_digest,
    read_examples,
    write_examples,
)
from workflow_scripts.data.making import make_examples, normalise
from workflow_scripts.data.providers.local_files import Settings

LABELS = ["on", "off", "dim"]


@pytest.fixture
def make(tmp_path):
    """Return a function that makes the table of one split from (text, label) pairs."""

    def run(rows, split="train", keep_out=(), **options):
        lines = [json.dumps({"text": t, "label": k, "split": split, "uid": i % 3}) for i, (t, k) in enumerate(rows)]
        (tmp_path / "de-DE.jsonl").write_text("\n".join(lines))
        settings = Settings(folder=str(tmp_path), **options)
        made = make_examples(settings, "de-DE", split, LABELS, keep_out)
        assert len(made.table) + made.dropped == len(rows)
        return made.table

    return run


def table(**changes):
    columns = {"id": ["1", "2"], "text": ["a b", "c"], "label": [1, 0], "cluster": ["x", "y"]}
    return pd.DataFrame({**columns, **changes})


def test_labels_become_positions_in_the_runs_list(make):
    assert make([("a", "off"), ("b", "on")])["label"].tolist() == [1, 0]
    assert list(make([("a", "off")]).columns) == ["id", "text", "label", "cluster"]


@pytest.mark.parametrize(
    ("text", "expected"), [("  a \t b\u00a0c\n", "a b c"), ("Ku\u0308che", "K\u00fcche"), ("A", "A")]
)
def test_texts_are_composed_and_their_white_space_collapsed(text, expected):
    assert normalise(text) == expected


def test_texts_of_the_held_out_splits_are_dropped_after_normalisation(make):
    test, validation = make([("a  b", "on")], "test"), make([("c", "on")], "validation")
    found = make([("a b", "off"), (" c", "off"), ("d", "off")], keep_out=[test, validation])
    assert found["text"].tolist() == ["d"]


def test_a_split_with_nothing_left_is_an_error(make):
    test = make([("a", "on")], "test")
    with pytest.raises(XlmergeError, match="de-DE: all 2 sentences of the train split are in test or validation as"):
        make([("a", "off"), ("a", "on")], keep_out=[test])


def test_an_id_that_occurs_twice_is_an_error(make):
    with pytest.raises(XlmergeError, match="de-DE, train: the id '0' occurs twice"):
        make([("a", "on"), ("b", "on"), ("c", "on"), ("d", "on")], id_column="uid")


def test_the_digest_is_of_the_content_in_order():
    base = examples_digest(table())
    assert examples_digest(table()[["cluster", "label", "text", "id"]]) == base
    changes = [{"id": ["1", "3"]}, {"text": ["a b", "d"]}, {"label": [0, 1]}, {"cluster": ["x", "x"]}]
    others = [examples_digest(table(**c)) for c in changes] + [examples_digest(table().iloc[::-1])]
    assert len({base, *others}) == 6


def test_a_table_comes_back_as_it_was_written(tmp_path):
    path, digest = tmp_path / "t.parquet", tmp_path / "t.digest"
    write_examples(table(), path)
    write_digest(digest, examples_digest(table()))
    pd.testing.assert_frame_equal(read_examples(path, digest), table(), check_dtype=False)


def test_an_edited_table_is_named(tmp_path):
    path, digest = tmp_path / "t.parquet", tmp_path / "t.digest"
    write_digest(digest, examples_digest(table()))
    write_examples(table(label=[0, 0]), path)
    with pytest.raises(XlmergeError, match=r"t\.parquet is damaged or was replaced"):
        read_examples(path, digest)


def test_a_table_that_is_no_parquet_is_named(tmp_path):
    for content in (b"", b"PAR1", b"text,label\na,on\n"):
        (tmp_path / "t.parquet").write_bytes(content)
        with pytest.raises(XlmergeError, match=r"t\.parquet is damaged"):
            read_examples(tmp_path / "t.parquet")


def test_a_flipped_byte_is_an_xlmerge_error_or_harmless(tmp_path):
    path, digest = tmp_path / "t.parquet", tmp_path / "t.digest"
    write_examples(table(), path)
    write_digest(digest, examples_digest(table()))
    content = path.read_bytes()
    for position in range(content.index(b"schema"), content.index(b"pandas")):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        try:
            assert read_examples(path, digest)["text"].tolist() == ["a b", "c"]
        except XlmergeError as error:
            assert "t.parquet" in str(error)
