"""Tokenised texts: the same as the tokenizer's, once per table, and never damaged ones."""

import os
import subprocess
import sys

import numpy as np
import pytest
from transformers import AutoTokenizer

from tests.conftest import ROOT
from workflow_scripts.evaluation import scoring
from workflow_scripts.evaluation.scoring import TokenCache
from workflow_scripts.models.checkpoints import Vocabulary
from workflow_scripts.models.tokens import Tokens, tokenise, vocabulary_of

TABLES = {
    "one": ["schalte das licht ein", "", "wetter"],
    "two": ["play some music", "licht", "turn the light off please, now"],
    "none": [],
}


@pytest.fixture
def cache(tiny_base, tmp_path):
    return TokenCache(tmp_path / "tokens", tiny_base, "b", 32)


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


def test_a_table_is_tokenised_once(tiny_base, cache):
    first, asked = cache.get(texts()), []
    again = TokenCache(cache.folder, tiny_base, "b", 32)
    found = again.get(texts(asked))
    assert asked == [] and "tokenizer" not in vars(again), "the tokenizer was loaded"
    assert all(same(found[name], first[name]) for name in TABLES)


@pytest.mark.parametrize("change", [{"digest": "c"}, {"max_length": 4}])
def test_another_tokenizer_or_length_shares_nothing(tiny_base, cache, change):
    cache.get(texts())
    asked = []
    TokenCache(cache.folder, tiny_base, **{"digest": "b", "max_length": 32, **change}).get(texts(asked))
    assert sorted(asked) == sorted(TABLES)


def test_other_code_shares_nothing(tiny_base, cache, monkeypatch):
    cache.get(texts())
    asked = []
    monkeypatch.setattr(scoring, "fingerprint", lambda *_: "other")
    cache.get(texts(asked))
    assert sorted(asked) == sorted(TABLES)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "special"])
def test_damaged_tokens_are_made_again(tiny_base, cache, damage, capsys):
    first = cache.get(texts())
    path = cache._path("two")
    content = path.read_bytes()
    changed = {"flip": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-1], "empty": b""}
    changed["special"] = content.replace(b'\\"pad\\": 1', b'\\"pad\\": 2')
    assert changed[damage] != content
    path.write_bytes(changed[damage])
    asked = []
    found = cache.get(texts(asked))
    assert asked == ["two"] and "dropping damaged tokens" in capsys.readouterr().err
    assert all(same(found[name], first[name]) for name in TABLES)
    assert path.read_bytes() == content


def test_jobs_that_start_together_begin_with_different_tables(tiny_base, tmp_path):
    code = (
        "import sys; from workflow_scripts.evaluation.scoring import TokenCache; asked = []\n"
        "texts = {f't{i}': lambda i=i: asked.append(i) or ['licht'] for i in range(30)}\n"
        "TokenCache(sys.argv[1], sys.argv[2], 'b', 32).get(texts); print(asked)"
    )
    orders = set()
    for i in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / str(i)), str(tiny_base)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        orders.add(done.stdout)
    assert len(orders) == 2


def test_an_empty_table_has_no_tokens(tiny_base):
    tokens = Tokens.of(AutoTokenizer.from_pretrained(tiny_base), [], 32)
    assert len(tokens.ids) == len(tokens.lengths) == 0
