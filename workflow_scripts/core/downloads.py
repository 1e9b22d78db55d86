"""What all runs share because it was fetched, or built from that: verified each time that it is used.

What lies in the user's cache has the digests of its files beside it; what a library fetched or installed is held
against the hashes that the library keeps itself. Whatever is damaged is named, and where it can be, made again.
"""

import base64
import hashlib
import importlib.metadata
from collections.abc import Callable
from functools import cache
from pathlib import Path

from workflow_scripts.core.atomic import atomic_path, read_json, write_json
from workflow_scripts.core.digests import digest_of_files
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.locks import turn
from workflow_scripts.core.messages import warn

NOT_READ = {".h5", ".msgpack", ".onnx", ".ot", ".tflite"}  # weights of other frameworks in a hub's snapshot
ALGORITHMS = {64: "sha256", 40: "sha1"}  # length of a blob's name in the hub's cache → the hash that it is


def shared(place: Path, make: Callable[[Path], None]) -> Path:
    """Return a file or folder of the user's cache: made if it is not there, made again if it is not what was made.

    Parameters
    ----------
    place : path
    make : callable
        Makes it at a path that it is given.

    Raises
    ------
    XlmergeError
        If it cannot be made, or the cache cannot be written.
    """
    if place.exists() and _damage(place) is None:
        return place
    try:
        with turn(place.with_name(f".{place.name}.lock")):
            damage = _damage(place) if place.exists() else ""
            if damage:
                warn(f"{damage}; {place} is made again")
            if damage is not None:
                with atomic_path(place) as temporary:
                    make(temporary)
                    digests = _digests(temporary)
                write_json(_record(place), digests)
    except OSError as error:
        raise XlmergeError(
            f"{place} cannot be made ({error}); make that folder writable, or let XLMERGE_CACHE name another folder"
        ) from error
    return place


def adopt(place: Path) -> None:
    """Record what lies in the user's cache as what it should be: somebody put it there by hand."""
    write_json(_record(place), _digests(place))


def has_record(place: Path) -> bool:
    """Tell whether the digests of something in the user's cache are known."""
    return _record(place).exists()


def _record(place: Path) -> Path:
    return place.with_name(f"{place.name}.digests.json")


def _digests(place: Path) -> dict[str, str]:
    files = [p for p in place.rglob("*") if p.is_file()] if place.is_dir() else [place]
    return {p.relative_to(place).as_posix(): digest_of_files(p) for p in files}


def _damage(place: Path) -> str | None:
    """Return what is wrong with something in the user's cache, or None."""
    try:
        expected = dict(read_json(_record(place)))
    except (OSError, ValueError):
        return f"there are no digests to verify {place} by"
    present = _digests(place)
    wrong = sorted(name for name in {**expected, **present} if expected.get(name) != present.get(name))
    return f"damaged or replaced: {', '.join(str(place / name) for name in wrong)}" if wrong else None


def drop_damaged(snapshot: str | Path) -> list[Path]:
    """Remove the damaged files of a snapshot in the hub's cache, so that the hub's library fetches them again.

    The cache keeps a file under its hash; where it was copied without these names, there is nothing to verify by.

    Returns
    -------
    list of path
        The files that were removed; a warning has named them.
    """
    files = [p for p in Path(snapshot).rglob("*") if p.is_file() and p.suffix not in NOT_READ]
    damaged = [p for p in files if _is_damaged_blob(p.resolve())]
    for path in damaged:
        warn(f"{path} in the hub's cache is damaged; it is fetched again")
        path.resolve().unlink()
        path.unlink()
    return damaged


def _is_damaged_blob(blob: Path) -> bool:
    algorithm = ALGORITHMS.get(len(blob.name))
    if blob.parent.name != "blobs" or algorithm is None:
        return False
    content = hashlib.new(algorithm)
    if algorithm == "sha1":  # git's hash of a small file
        content.update(f"blob {blob.stat().st_size}\0".encode())
    with open(blob, "rb") as handle:
        while piece := handle.read(1 << 20):
            content.update(piece)
    return content.hexdigest() != blob.name


@cache
def verify_package(name: str, folder: str) -> None:
    """Verify the files that an installed package has in a folder; once per process.

    Parameters
    ----------
    name : str
        The package, as installers call it.
    folder : str
        Beginning of the files' paths: ``lang2vec/data/``.

    Raises
    ------
    XlmergeError
        If a file is not what the installer wrote.
    """
    for file in importlib.metadata.files(name) or []:
        if file.as_posix().startswith(folder) and file.hash is not None:
            content = hashlib.new(file.hash.mode, Path(str(file.locate())).read_bytes())
            if base64.urlsafe_b64encode(content.digest()).rstrip(b"=").decode() != file.hash.value:
                raise XlmergeError(
                    f"{file.locate()} is not the file that was installed: install the package again "
                    f"(`pip install --force-reinstall --no-deps {name}=={importlib.metadata.version(name)}`)"
                )
