"""Locks that can be cleared without letting two in, and a cache pruned beside a training that goes on."""

import json
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest

from tests.unit.helpers import write_vector
from workflow_scripts.core.digests import digest_of_files, write_digest
from workflow_scripts.core.locks import clear, turn
from workflow_scripts.core.lookup import recording
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.jobs import evaluate_row, prune_cache
from workflow_scripts.models.checkpoints import base_digest

HOLDER = """
import sys
from workflow_scripts.core.locks import turn
with turn(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A lock that another process holds until the test ends."""
    path = tmp_path / "cache/locks/running.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield path
    process.stdin.close()
    assert process.wait() == 0


def test_a_held_lock_is_not_cleared(held):
    assert clear(held) is False and held.exists()


def test_a_lock_nobody_holds_is_cleared_and_can_be_taken_again(tmp_path):
    path = tmp_path / "locks/one.lock"
    with turn(path):
        assert clear(path) is False
    assert clear(path) is True and not path.exists()
    with turn(path):
        assert path.exists()


def test_who_waits_for_a_lock_that_is_removed_takes_the_new_one(tmp_path):
    path, inside = tmp_path / "one.lock", []

    def wait_and_enter():
        with turn(path):
            inside.append(path.stat().st_ino)

    with turn(path):
        waiting = threading.Thread(target=wait_and_enter)
        waiting.start()
        time.sleep(0.2)  # it has opened the file and waits
        path.unlink()
        with turn(path):  # a third one holds the new file
            new = path.stat().st_ino
        assert not inside
    waiting.join(10)
    assert inside == [path.stat().st_ino] and new == inside[0], "it went on with a file that nobody else sees"


def make(cache, *names):
    for name in names:
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def left(cache):
    return sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file())


def test_pruning_keeps_what_is_used_or_still_made(held, tmp_path, capsys):
    cache = tmp_path / "cache"
    kept = ["models/us/used/model", "models/us/used.making.json", "cells/us/used.safetensors"]
    kept += ["training/running/checkpoint-1/state", "models/ru/.running.0a.tmp/model"]
    kept += ["measurements/wa/wanted/values.safetensors"]
    old = ["models/ol/old/model", "models/ol/old.making.json", "cells/ol/old.safetensors", "merges/ol/old.json"]
    old += ["measurements/ol/old/values.safetensors"]
    make(cache, *kept, *old, "tokens/ol/old.safetensors", "training/stopped/checkpoint/x")
    make(cache, "locks/used.lock", "locks/stopped.lock", "models/st/.stopped.0b.tmp/model")
    make(tmp_path, "models/de-DE/.model.digest.0c.tmp")
    sidecar = tmp_path / "model.json"
    sidecar.write_text(json.dumps({"cache_entries": ["used"]}))
    measurement = tmp_path / "measurements/gram/de-DE/seed0/de-DE-validation.json"
    measurement.parent.mkdir(parents=True)
    measurement.write_text(json.dumps({"cache_entries": ["wanted"]}))
    settings = {
        "cache": str(cache),
        "sidecars": [str(sidecar), str(tmp_path / "missing.json")],
        "measurements": str(tmp_path / "measurements"),
    }
    prune_cache.main({}, {}, settings, 1)
    assert left(cache) == sorted([*kept, "locks/running.lock"])
    assert not list((tmp_path / "models").rglob("*.tmp"))
    assert "pruned 2 of 5 cache entries" in capsys.readouterr().err


def test_pruning_keeps_the_tokenised_texts_of_cells_that_are_in_use(tiny_base, tmp_path):
    """A row scored twice, the second time from the cache alone: its sidecar still names the tokens."""
    inputs = {"base": str(tiny_base), "base_digest": str(tmp_path / "base.digest")}
    write_digest(inputs["base_digest"], base_digest(tiny_base))
    vector = write_vector(tmp_path / "m.safetensors", {"classifier.bias": [1.0, 0, 0]}, base=base_digest(tiny_base))
    write_digest(tmp_path / "m.digest", digest_of_files(vector))
    inputs |= {"model": str(vector), "model_digest": str(tmp_path / "m.digest")}
    for split, texts in (("test", ["licht an", "musik"]), ("validation", ["wetter"])):
        table = pd.DataFrame({"id": texts, "text": texts, "label": 0, "cluster": texts})
        write_examples(table, tmp_path / f"{split}.parquet")
        write_digest(tmp_path / f"{split}.digest", examples_digest(table))
        inputs |= {
            f"{split}_tables": [f"{tmp_path}/{split}.parquet"],
            f"{split}_digests": [f"{tmp_path}/{split}.digest"],
        }
    outputs = {name: str(tmp_path / f"row.{name}") for name in ("test", "validation", "cells", "digest")}
    cache = tmp_path / "cache"
    evaluation = {"batch_tokens": 64, "max_length": 32}
    scoring = {"evaluation": evaluation, "code": "c", "cache": str(cache)}
    settings = {"locales": ["de-DE"], "locale": "de-DE", "seed": 0, "scoring": scoring}
    kept_for = {
        "cache": str(cache),
        "sidecars": [str(tmp_path / "row.json")],
        "measurements": str(tmp_path / "measurements"),
    }
    for computed in (["de-DE"], []):
        with recording() as record:
            evaluate_row.main(inputs, outputs, settings, 1)
        assert record.facts()["computed"] == computed
        (tmp_path / "row.json").write_text(json.dumps(record.facts()))
        before = left(cache)
        prune_cache.main({}, {}, kept_for, 1)
        assert left(cache) == before and len(list(cache.glob("tokens/*/*.safetensors"))) == 2
    (tmp_path / "row.json").unlink()
    prune_cache.main({}, {}, kept_for, 1)
    assert left(cache) == []
