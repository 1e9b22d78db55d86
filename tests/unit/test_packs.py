"""Packed logits: what was written comes back, and damage never passes for scores."""

import contextlib
import os

import numpy as np
import pytest

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.evaluation.packs import PARTS, Scores, read_pack, write_pack


def scores(seed, n=5):
    generator = np.random.default_rng(seed)
    return Scores.of(generator.normal(size=(n, 3)).astype(np.float32), generator.integers(0, 3, n))


SCORES = {"de-DE": scores(0), "en-US": scores(1, n=2)}


@pytest.fixture
def pack(tmp_path):
    write_pack(tmp_path / "pack.safetensors", SCORES)
    return tmp_path / "pack.safetensors"


def same(one, two):
    pairs = [(getattr(one, part), getattr(two, part)) for part in PARTS]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def damaged(content, position, flip=0x01):
    changed = bytearray(content)
    changed[position] ^= flip
    return changed


def layout(content):
    """Return where the metadata lie within the header, and where the data begin."""
    metadata = range(content.index(b'"__metadata__"'), content.index(b'},"'))
    return metadata, 8 + int.from_bytes(content[:8], "little")


@pytest.mark.parametrize("name", SCORES)
def test_what_was_written_comes_back(pack, name):
    assert same(read_pack(pack, name), SCORES[name])


def test_equal_scores_give_equal_files(pack, tmp_path):
    write_pack(tmp_path / "again", SCORES)
    assert (tmp_path / "again").read_bytes() == pack.read_bytes()


def test_a_digest_depends_on_every_part():
    base = SCORES["de-DE"]
    digests = {base.digest()}
    for part in PARTS:
        values = {p: getattr(base, p).copy() for p in PARTS}
        values[part][-1] = 1 - values[part][-1].astype(int)
        digests.add(Scores(**values).digest())
    assert len(digests) == 1 + len(PARTS)


def test_damaged_data_is_an_error_for_the_locale_it_belongs_to(pack):
    content = pack.read_bytes()
    _, data = layout(content)
    hit = dict.fromkeys(SCORES, 0)
    for position in range(data, len(content)):
        pack.write_bytes(damaged(content, position))
        for name, expected in SCORES.items():
            try:
                assert same(read_pack(pack, name), expected)  # the damage is another locale's
            except XlmergeError as error:
                hit[name] += 1
                assert "pack.safetensors is damaged" in str(error)
    assert hit == {name: sum(getattr(s, part).nbytes for part in PARTS) for name, s in SCORES.items()}


def test_a_damaged_header_never_gives_wrong_scores(pack):
    content = pack.read_bytes()
    metadata, data = layout(content)
    errors = 0
    for position in (p for p in range(data) if p not in metadata):
        pack.write_bytes(damaged(content, position))
        try:
            assert same(read_pack(pack, "de-DE"), SCORES["de-DE"])
        except XlmergeError:
            errors += 1
    assert errors > 100


def test_damaged_metadata_is_an_error(pack):
    content = pack.read_bytes()
    metadata, _ = layout(content)
    assert b"digests" in content[metadata.start : metadata.stop]
    for position in metadata:
        pack.write_bytes(damaged(content, position))
        with contextlib.suppress(XlmergeError):
            assert same(read_pack(pack, "de-DE"), SCORES["de-DE"])


def test_a_changed_number_format_is_an_error(pack):
    content = pack.read_bytes()
    position = content.index(b'"F32"', content.index(b"de-DE/losses")) + 1
    pack.write_bytes(damaged(content, position, ord("F") ^ ord("I")))
    with pytest.raises(XlmergeError):
        read_pack(pack, "de-DE")


def test_every_truncation_is_an_error(pack):
    for size in reversed(range(0, pack.stat().st_size, 3)):
        os.truncate(pack, size)
        with pytest.raises(XlmergeError, match=r"pack\.safetensors is damaged"):
            read_pack(pack, "de-DE")


def test_a_missing_locale_or_file_is_named(pack, tmp_path):
    with pytest.raises(XlmergeError, match=r"pack\.safetensors has no scores of fr-FR"):
        read_pack(pack, "fr-FR")
    with pytest.raises(XlmergeError, match="nowhere"):
        read_pack(tmp_path / "nowhere", "de-DE")
