"""Content digests: what an artefact is, independent of when or where it was made; seeds that keys give likewise."""

import hashlib
import json
import mmap
import os
from functools import cache
from pathlib import Path
from typing import Any

import xxhash

from workflow_scripts.core.atomic import write_text
from workflow_scripts.core.errors import XlmergeError


def digest_of(value: Any) -> str:
    """SHA-256 (first 32 hex digits) of a JSON-serialisable value; key order does not count."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest_of_files(*paths: str | Path) -> str:
    """XXH3 (128 bits, 32 hex digits) over the bytes of the files, in the order given.

    It guards against damage and mix-ups, not against forgery, and runs at the speed of memory: big files are
    verified each time they are loaded.
    """
    total = xxhash.xxh3_128()
    for path in paths:
        if os.path.getsize(path) == 0:
            continue  # nothing to map
        with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            total.update(content)
    return total.hexdigest()


def write_digest(path: str | Path, digest: str) -> None:
    """Write a digest file: the digest and nothing else, so that equal content gives equal files."""
    write_text(path, digest + "\n")


def read_digest(path: str | Path) -> str:
    """Read a digest file."""
    return Path(path).read_text(encoding="utf-8").strip()


def verify_file(path: str | Path, digest_file: str | Path) -> str:
    """Return a file's digest if it is what the digest file says; see `verify`.

    A process that loads a file again and again, as a job of many merges does, reads it for this once.
    """
    state = os.stat(path)
    return verify(path, _digest_once(str(path), state.st_ino, state.st_size, state.st_mtime_ns), digest_file)


@cache
def _digest_once(path: str, *state: int) -> str:
    """Return the digest of a file in the state given."""
    return digest_of_files(path)


def verify(path: str | Path, digest: str, digest_file: str | Path) -> str:
    """Return `digest` if it is what the digest file says.

    Raises
    ------
    XlmergeError
        If the file was truncated, edited or replaced since it was made.
    """
    expected = read_digest(digest_file)
    if digest != expected:
        raise XlmergeError(
            f"{path} is damaged or was replaced: its digest is {digest}, but {digest_file} says {expected}. "
            f"Delete {path} and rerun; it will be made again."
        )
    return digest


def derive_seed(*keys: str | int) -> int:
    """Return a seed in [0, 2**31) that depends on all keys and on nothing else, such as a global generator.

    Examples
    --------
    >>> derive_seed("finetune", "de-DE", 0) == derive_seed("finetune", "de-DE", 0)
    True
    >>> derive_seed("finetune", "de-DE", 0) == derive_seed("finetune", "de-DE", 1)
    False
    """
    text = "\x1f".join(str(k) for k in keys)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") & 0x7FFFFFFF
