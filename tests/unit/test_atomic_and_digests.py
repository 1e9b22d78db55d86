"""Files appear whole or not at all, and say what they are."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from workflow_scripts.core import atomic
from workflow_scripts.core.atomic import atomic_path, link_or_copy, naming_full_disk, remove, write_json, write_text
from workflow_scripts.core.digests import derive_seed, digest_of, digest_of_files, read_digest, verify, write_digest
from workflow_scripts.core.errors import DiskFullError, XlmergeError


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# --- atomic_path


def test_a_file_appears_when_the_block_ends(tmp_path):
    final = tmp_path / "new" / "file"
    with atomic_path(final) as temporary:
        temporary.write_text("content")
        assert not final.exists()
        assert temporary.parent == final.parent  # a rename within one file system
    assert final.read_text() == "content"
    assert names(final.parent) == ["file"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    final = tmp_path / "file"
    final.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(final) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert final.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_rename_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    final = tmp_path / "file"
    final.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(DiskFullError, match=r"the disk is full: .*/file cannot"):
        write_text(final, "new")
    assert final.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    final = tmp_path / "folder"
    for content in ("one", "two"):
        with atomic_path(final) as temporary:
            (temporary / "deep").mkdir(parents=True)
            (temporary / "deep" / content).write_text(content)
    assert names(final / "deep") == ["two"]
    assert names(tmp_path) == ["folder"]


def test_two_writers_never_share_a_temporary_path(tmp_path):
    with atomic_path(tmp_path / "file") as one, atomic_path(tmp_path / "file") as two:
        assert one != two
        one.write_text("1")
        two.write_text("2")
    assert (tmp_path / "file").read_text() == "1"  # the outer block ends last
    assert names(tmp_path) == ["file"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "file"):
        pass
    assert names(tmp_path) == []


# --- JSON, links, removal


def test_json_is_sorted_and_readable(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "θ₀"})
    write_json(tmp_path / "b.json", {"a": "θ₀", "b": 1})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": "θ₀", "b": 1}
    assert "θ₀" in text and text.index('"a"') < text.index('"b"')
    assert (tmp_path / "b.json").read_text(encoding="utf-8") == text


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize("linkable", [True, False])
def test_link_or_copy_puts_the_content_there_and_makes_it_new(tmp_path, monkeypatch, linkable):
    def no_link(*_):
        raise OSError(18, "Invalid cross-device link")

    if not linkable:
        monkeypatch.setattr(atomic.os, "link", no_link)
    source, final = tmp_path / "source", tmp_path / "final"
    source.write_text("content")
    os.utime(source, (1, 1))
    final.write_text("old")
    for _ in range(2):  # the second time it is there already
        link_or_copy(source, final)
        assert final.read_text() == source.read_text() == "content"
        assert final.stat().st_mtime > 1
        assert (final.stat().st_ino == source.stat().st_ino) == linkable
    assert names(tmp_path) == ["final", "source"]


def test_remove_takes_files_folders_links_and_nothing(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("link", "folder", "file", "nothing"):
        remove(tmp_path / name)
    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == ["file"]  # a link goes, what it points to stays


# --- digests

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.randoms(use_true_random=False))
def test_key_order_does_not_count(value, random):
    keys = list(value)
    random.shuffle(keys)
    assert digest_of({k: value[k] for k in keys}) == digest_of(value)


@given(json_values, json_values)
def test_other_values_have_other_digests(one, two):
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (digest_of(one) == digest_of(two)) == same


def test_digests_do_not_drift_between_versions():
    # stored in caches and digest files: sha256 of the JSON text, and the published XXH3-128 of "abc"
    assert (
        digest_of({"b": [1, "ä"], "a": None}) == hashlib.sha256('{"a": null, "b": [1, "ä"]}'.encode()).hexdigest()[:32]
    )
    assert derive_seed("finetune", "de-DE", 0) == derive_seed("finetune", "de-DE", "0") == 206484695


def test_digest_of_files_is_xxh3_of_their_bytes_in_order(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"ab")
    two.write_bytes(b"c")
    assert digest_of_files(one, two) == "06b05ab6733a618578af5f94892f3950"  # XXH3-128 of "abc"
    assert digest_of_files(two, one) == xxhash.xxh3_128(b"cab").hexdigest()


def test_any_flipped_bit_changes_a_files_digest(tmp_path):
    path, content = tmp_path / "file", bytes(range(40))
    path.write_bytes(content)
    found = {digest_of_files(path)}
    for i in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[i // 8] ^= 1 << i % 8
        path.write_bytes(flipped)
        found.add(digest_of_files(path))
    assert len(found) == 1 + len(content) * 8


def test_a_digest_file_holds_the_digest_and_nothing_else(tmp_path):
    write_digest(tmp_path / "d", "abc")
    assert (tmp_path / "d").read_text() == "abc\n"
    assert read_digest(tmp_path / "d") == "abc"


def test_verify_names_file_both_digests_and_remedy(tmp_path):
    write_digest(tmp_path / "x.digest", "1234")
    assert verify("x.bin", "1234", tmp_path / "x.digest") == "1234"
    with pytest.raises(XlmergeError, match=r"x\.bin is damaged.*is 9999.*x\.digest says 1234.*Delete x\.bin"):
        verify("x.bin", "9999", tmp_path / "x.digest")


def test_a_file_truncated_to_nothing_has_a_digest_too(tmp_path):
    (tmp_path / "empty").touch()
    assert digest_of_files(tmp_path / "empty") == xxhash.xxh3_128(b"").hexdigest()


# --- a full disk


def write_tensors(place: str) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def write_checkpoint(place: str) -> None:
    torch.save({"a": torch.zeros(1 << 16)}, place)


def write_words(place: str) -> None:
    Path(place).write_text("words" * 9999)


FULL = "/dev/full"  # every write to it fails as on a full disk


@pytest.mark.skipif(not Path(FULL).exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("write", [write_tensors, write_checkpoint, write_words])
def test_a_full_disk_is_called_so_whoever_writes(write, tmp_path):
    with (
        pytest.raises(DiskFullError, match=r"the disk is full: .*/(x|full) cannot be written\. Free some space"),
        naming_full_disk(tmp_path / "x"),
    ):
        write(FULL)


def test_no_other_error_is_taken_for_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError), naming_full_disk(tmp_path):
        (tmp_path / "no" / "x").write_text("")
    with pytest.raises(RuntimeError, match="shapes"), naming_full_disk(tmp_path):
        raise RuntimeError("shapes differ")


def test_a_file_for_which_there_is_no_room_is_named_and_nothing_is_left_of_it(tmp_path):
    with (
        pytest.raises(DiskFullError, match=f"{tmp_path}/x cannot be written"),
        atomic_path(tmp_path / "x") as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())
