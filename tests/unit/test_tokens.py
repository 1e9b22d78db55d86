"""Tokenised texts: the same as the tokenizer's, once per table, and never damaged ones."""

import numpy as np
import pytest
from transformers import AutoTokenizer

from tests.conftest import ROOT, python, succeeded
from workflow_scripts.evaluation.cells import token_entry
from workflow_scripts.evaluation.scoring import TokenCache
from workflow_scripts.models.checkpoints import Vocabulary
from workflow_scripts.models.tokens import Tokens, tokenise, vocabulary_of

TABLES = {
    "one": ["schalte das licht ein", "", "wetter"],
    "two": ["play some music", "licht", "turn the light off please, now"],
    "none": [],
}


@pytest.fixture
def make(tiny_base, tmp_path):
    """Return what makes caches in one folder."""

    def made(digest="b", code="c", max_length=32):
        return TokenCache(
            {"cache": tmp_path, "code": code, "evaluation": {"max_length": max_length}}, tiny_base, digest
        )

    return made


@pytest.fixture
def cache(make):
    return make()


def texts(asked=None):
    def reader(name):
        def read():
            if asked is not None:
                asked.append(name)
            return TABLES[name]

        return read

    return {name: reader(name) for name in TABLES}


def same(one, two):
    return (
        np.array_equal(one.ids, two.ids)
        and np.array_equal(one.lengths, two.lengths)
        and (one.special, one.pad) == (two.special, two.pad)
    )


def test_tokens_are_the_tokenizers(tiny_base, cache):
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    found = cache.get(texts())
    encoded = {name: tokenise(tokenizer, table, 32) for name, table in TABLES.items()}
    vocabulary = vocabulary_of([found[name] for name in TABLES])
    expected = Vocabulary.of(tokenizer, [text for table in encoded.values() for text in table])
    assert vocabulary.ids.tolist() == expected.ids.tolist() and vocabulary.pad == expected.pad
    for name, table in encoded.items():
        assert found[name].encoded(vocabulary) == [expected.encode(text) for text in table]


def test_a_table_is_tokenised_once(cache, make):
    first, asked = cache.get(texts()), []
    again = make()
    found = again.get(texts(asked))
    assert asked == [] and "tokenizer" not in vars(again), "the tokenizer was loaded"
    assert all(same(found[name], first[name]) for name in TABLES)


@pytest.mark.parametrize("change", [{"digest": "c"}, {"max_length": 4}, {"code": "d"}])
def test_another_tokenizer_or_length_or_other_code_shares_nothing(cache, make, change):
    cache.get(texts())
    asked = []
    make(**change).get(texts(asked))
    assert sorted(asked) == sorted(TABLES)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "special"])
def test_damaged_tokens_are_made_again(cache, damage, capsys):
    first = cache.get(texts())
    path = token_entry(cache.scoring, "b", "two").path
    content = path.read_bytes()
    changed = {"flip": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-1], "empty": b""}
    changed["special"] = content.replace(rb"\"pad\\\": 1", rb"\"pad\\\": 2")
    assert changed[damage] != content
    path.write_bytes(changed[damage])
    asked = []
    found = cache.get(texts(asked))
    assert asked == ["two"] and "dropping a damaged entry" in capsys.readouterr().err
    assert all(same(found[name], first[name]) for name in TABLES)
    assert path.read_bytes() == content


JOB = """
import sys
from workflow_scripts.evaluation.scoring import TokenCache
asked = []
texts = {f"t{i}": lambda i=i: asked.append(i) or ["licht"] for i in range(30)}
scoring = {"cache": sys.argv[2], "code": "c", "evaluation": {"max_length": 32}}
TokenCache(scoring, sys.argv[1], "b").get(texts)
print(asked)
"""


def test_jobs_that_start_together_begin_with_different_tables(tiny_base, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(JOB, encoding="utf-8")
    words, variables = (str(script), str(tiny_base)), {"PYTHONPATH": str(ROOT)}
    orders = {succeeded(python([*words, str(tmp_path / name)], tmp_path, variables)) for name in ("one", "two")}
    assert len(orders) == 2


def test_an_empty_table_has_no_tokens(tiny_base):
    tokens = Tokens.of(AutoTokenizer.from_pretrained(tiny_base), [], 32)
    assert len(tokens.ids) == len(tokens.lengths) == 0
