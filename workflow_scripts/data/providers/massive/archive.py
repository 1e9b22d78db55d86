"""The official archive of MASSIVE, packed or unpacked; downloaded where the config names none."""

import gzip
import json
import shutil
import tarfile
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from workflow_scripts.core.atomic import naming_full_disk
from workflow_scripts.core.downloads import adopt, has_record, shared
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.paths import user_cache
from workflow_scripts.data.providers.massive.facts import LOCALES, Settings
from workflow_scripts.data.providers.massive.rows import Row

URL = "https://amazon-massive-nlu-dataset.s3.amazonaws.com/amazon-massive-dataset-{release}.tar.gz"
TIMEOUT = 60  # seconds without an answer


def files_of(path: str) -> list[str]:
    """Return the archive, or the data files of an unpacked folder: ``1.1``, ``1.1/data`` or the folder around them."""
    place = Path(path).expanduser()
    return [str(place)] if not place.is_dir() else sorted(str(p) for p in place.rglob("*.jsonl") if _is_locale(p.name))


def read(settings: Settings) -> tuple[str, Iterator[tuple[str, Iterator[Row]]]]:
    """Return where the data come from, and per locale its rows, in one pass over the archive.

    Raises
    ------
    XlmergeError
        If the archive cannot be downloaded or read; while reading, for a line that is no utterance.
    """
    place = Path(settings.path).expanduser() if settings.path else download(settings.release)
    contents = _folder(place) if place.is_dir() else _archive(place)
    return str(place), ((PurePosixPath(where).stem, _rows(where, content)) for where, content in contents)


def download(release: str) -> Path:
    """Return the archive in the user's cache; it is downloaded if it is not there, or damaged.

    One that was put there by hand is taken once it has been found to be whole.
    """
    url = URL.format(release=release)
    place = user_cache() / PurePosixPath(url).name
    if place.exists() and not has_record(place):
        check_whole(place)
        adopt(place)

    def fetch(temporary: Path) -> None:
        try:
            with (
                urllib.request.urlopen(url, timeout=TIMEOUT) as answer,
                naming_full_disk(place),
                open(temporary, "wb") as file,
            ):
                shutil.copyfileobj(answer, file)
        except OSError as error:
            raise XlmergeError(
                f"MASSIVE {release} cannot be downloaded from {url} ({error}). Download it on a machine with a network "
                f"and either put it at {place} or say where it is: `data: {{provider: massive, path: …}}`"
            ) from error

    return shared(place, fetch)


def check_whole(place: Path) -> None:
    """Raise an `XlmergeError` for a gzipped archive that is cut off or fails its own checksum."""
    try:
        with gzip.open(place) as content:
            while content.read(1 << 20):
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise XlmergeError(f"{place} is no complete archive ({error}); delete it and get it again") from None


def _is_locale(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix == ".jsonl" and path.stem in LOCALES


def _folder(place: Path) -> Iterator[tuple[str, bytes]]:
    for name in files_of(str(place)):
        yield name, Path(name).read_bytes()


def _archive(place: Path) -> Iterator[tuple[str, bytes]]:
    if place.suffix in {".gz", ".tgz"}:
        check_whole(place)  # `tarfile` does not compare checksums
    try:
        with tarfile.open(place, "r|*") as archive:
            for member in archive:
                file = archive.extractfile(member) if _is_locale(member.name) else None
                if file:
                    yield f"{place}/{member.name}", file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise XlmergeError(f"{place} is no complete archive ({error}); delete it and get it again") from error


def _rows(where: str, content: bytes) -> Iterator[Row]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"{where}, line {number}"
        try:
            utterance = json.loads(line)
            yield Row(
                str(utterance["id"]), utterance["partition"], utterance["utt"], utterance.get("intent", ""), place
            )
        except (ValueError, KeyError, TypeError) as error:
            raise XlmergeError(f"{place}: not an utterance of MASSIVE ({type(error).__name__}: {error})") from None
