"""Locks that can be cleared without letting two in, and a cache pruned beside a training that goes on."""

import json
import subprocess
import sys
import threading
import time

import pytest

from workflow_scripts.core.locks import clear, turn
from workflow_scripts.jobs import prune_cache

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
    kept = ["models/used/model", "cells/ab/used.safetensors", "training/running/checkpoint-1/state"]
    kept += ["models/.running.0a.tmp/model"]
    make(
        cache, *kept, "models/old/model", "cells/ab/old.safetensors", "merges/old.json", "training/stopped/checkpoint/x"
    )
    make(cache, "locks/used.lock", "locks/stopped.lock", "models/.stopped.0b.tmp/model")
    make(tmp_path, "models/de-DE/.model.digest.0c.tmp")
    sidecar = tmp_path / "model.json"
    sidecar.write_text(json.dumps({"cache_entries": ["used", "used.safetensors"]}))
    settings = {"cache": str(cache), "sidecars": [str(sidecar), str(tmp_path / "missing.json")]}
    prune_cache.main({}, {}, settings, 1)
    assert left(cache) == sorted([*kept, "locks/running.lock"])
    assert not list((tmp_path / "models").rglob("*.tmp"))
    assert "pruned" in capsys.readouterr().err
