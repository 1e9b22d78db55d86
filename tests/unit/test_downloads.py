"""What is shared by all runs is verified when it is used: damage is named, and made good where it can be."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from workflow_scripts.core import downloads
from workflow_scripts.core.downloads import drop_damaged, shared, verify_package
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models import base
from workflow_scripts.models.checkpoints import base_digest


def flip(path: Path, position: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny encoder in a cache of its own."""
    monkeypatch.setenv("XLMERGE_CACHE", str(tmp_path / "cache"))
    return Path(base.encoder_folder("tiny_encoder"))


def damage_weights(folder: Path) -> str:
    flip(folder / "model.safetensors")
    return "model.safetensors"


def swap_tokens(folder: Path) -> str:
    path = folder / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    first, second = '"licht": ', '"light": '
    assert first in text and second in text
    path.write_text(text.replace(first, "@").replace(second, first).replace("@", second), encoding="utf-8")
    return "tokenizer.json"


def delete(folder: Path) -> str:
    (folder / "config.json").unlink()
    return "config.json"


@pytest.mark.parametrize("damage", [damage_weights, swap_tokens, delete])
def test_a_damaged_encoder_is_named_and_made_again(damage, encoder, capfd):
    whole = base_digest(encoder)
    named = damage(encoder)
    assert base_digest(encoder) != whole
    assert Path(base.encoder_folder("tiny_encoder")) == encoder and base_digest(encoder) == whole
    said = capfd.readouterr().err
    assert f"{encoder / named}" in said and "made again" in said
    base.encoder_folder("tiny_encoder")
    assert not capfd.readouterr().err, "what is whole is not spoken of"


def test_an_encoder_without_digests_is_made_again(encoder, capfd):
    encoder.with_name(f"{encoder.name}.digests.json").unlink()
    flip(encoder / "model.safetensors")
    base.encoder_folder("tiny_encoder")
    assert "no digests to verify" in capfd.readouterr().err
    base.encoder_folder("tiny_encoder")
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    ("number", "message"), [(28, "the disk is full: .*/x cannot"), (13, r"x cannot be made \(.*XLMERGE_CACHE")]
)
def test_what_cannot_be_made_leaves_nothing_and_says_where(number, message, tmp_path):
    def fail(place: Path) -> None:
        place.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(XlmergeError, match=message):
        shared(tmp_path / "x", fail)
    assert not [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")]


def test_verifying_a_hundred_megabytes_takes_a_third_of_a_second_at_most(tmp_path):
    place = shared(tmp_path / "x", lambda temporary: temporary.write_bytes(b"x" * 100_000_000))
    start = time.process_time()
    shared(place, lambda _: pytest.fail("it was there"))
    assert time.process_time() - start < 0.3


def hub_file(root: Path, name: str, content: bytes, large: bool) -> Path:
    """Lay a file out as the hub's library does: a blob that bears its hash, and a link in the snapshot."""
    head = b"" if large else f"blob {len(content)}\0".encode()
    blob = root / "blobs" / (hashlib.sha256 if large else hashlib.sha1)(head + content).hexdigest()
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    link = root / "snapshots" / ("c" * 40) / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(blob)
    return link


@pytest.mark.parametrize("large", [True, False])
def test_a_damaged_file_of_the_hubs_cache_is_named_and_given_back_to_be_fetched(large, tmp_path, capfd):
    link = hub_file(tmp_path, "model.safetensors", b"weights", large)
    other = hub_file(tmp_path, "config.json", b"{}", large=False)
    assert drop_damaged(link.parent) == [] and not capfd.readouterr().err
    flip(link.resolve())
    assert drop_damaged(link.parent) == [link]
    assert str(link) in capfd.readouterr().err
    assert not link.exists() and not link.is_symlink() and other.exists()


def test_weights_that_nobody_reads_and_files_without_a_hash_are_left_alone(tmp_path):
    unread = hub_file(tmp_path, "tf_model.h5", b"weights", large=True)
    flip(unread.resolve())
    (unread.parent / "copied.json").write_text("{}")
    assert drop_damaged(unread.parent) == []


def test_the_merge_command_fetches_a_damaged_model_again(tmp_path, monkeypatch):
    from workflow_scripts.checkpoints.files import locate

    link = hub_file(tmp_path, "model.safetensors", b"weights", large=True)
    flip(link.resolve())
    asked = []

    def fetch(name: str, **_: object) -> str:
        asked.append(link.exists())
        return str(link.parent)

    monkeypatch.setattr(base, "hub_has", lambda _: True)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    locate("somebody/model")
    assert asked == [True, False]


def test_a_damaged_file_of_an_installed_package_is_named(tmp_path, monkeypatch):
    package = tmp_path / "toy-1.0.dist-info"
    package.mkdir()
    data = tmp_path / "toy" / "data.json"
    data.parent.mkdir()
    data.write_text("{}")
    digest = "RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o"
    (package / "RECORD").write_text(f"toy/data.json,sha256={digest},2\n")
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    verify_package("toy", "toy/")
    downloads.verify_package.cache_clear()
    data.write_text("[]")
    with pytest.raises(XlmergeError, match=r"toy/data\.json is not the file that was installed.*toy==1\.0"):
        verify_package("toy", "toy/")
    downloads.verify_package.cache_clear()


def test_uriel_reads_verified_files_only(monkeypatch):
    from workflow_scripts.similarity.measures import uriel

    asked = []
    monkeypatch.setattr(uriel, "verify_package", lambda *what: asked.append(what))
    uriel._features.__wrapped__("deu", "geo")
    uriel._learned.__wrapped__("deu")
    assert asked == [("lang2vec", "lang2vec/data/")] * 2
