"""What all tests share: running Snakemake as a user does, and one finished tiny run."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests import preloaded
from workflow_scripts.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
XLMERGE = str(Path(sys.executable).with_name("xlmerge"))  # `make install` makes it
Done = subprocess.CompletedProcess[str]


def pytest_configure(config: pytest.Config) -> None:
    """Give each of pytest's workers one thread, and all of them one preloaded process, where there can be one."""
    os.environ.update(preloaded.ONE_THREAD)  # before anything loads torch
    if sys.platform == "linux" and not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="xlmerge-")
        os.environ[preloaded.ADDRESS] = f"{folder.name}/socket"
        process = preloaded.start(os.environ[preloaded.ADDRESS])

        def end() -> None:
            process.communicate()
            folder.cleanup()

        config.add_cleanup(end)


def preset(name: str, **changes: Any) -> dict[str, Any]:
    """Return a preset's config with top-level keys changed."""
    content = yaml.safe_load((ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {**content, **changes}


def snakemake(directory: Path, config: dict[str, Any], *args: str, root: Path = ROOT, **options: Any) -> Done:
    """Run the workflow of `root` in a directory with a config; see `python` for the options."""
    return python(command(directory, config, *args, root=root)[1:], directory, **options)


def python(
    arguments: list[str], directory: Path, environment: dict[str, str] | None = None, true: bool = False
) -> Done:
    """Run a Python command line; output and error come back as one text.

    It is run by a fork of the preloaded process, unless there is none or `true` asks for the true command.
    """
    variables = {**os.environ, "COLUMNS": "200", **(environment or {})}
    with tempfile.TemporaryFile() as output:
        if true or preloaded.ADDRESS not in os.environ:
            code = subprocess.call(
                [sys.executable, *arguments], cwd=directory, env=variables, stdout=output, stderr=subprocess.STDOUT
            )
        else:
            both = (output.fileno(), output.fileno())
            code = preloaded.run(os.environ[preloaded.ADDRESS], arguments, str(directory), variables, both)
        output.seek(0)
        return subprocess.CompletedProcess(arguments, code, output.read().decode(errors="replace"))


def command(directory: Path, config: dict[str, Any], *args: str, root: Path = ROOT) -> list[str]:
    """Write the config into a directory and return the command that runs it there; tests use the other cores."""
    path = directory / "run.yaml"
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(directory)]
    return [*words, "--configfile", str(path), "--cores", "1", *args]


def xlmerge(*words: str | Path) -> Result:
    """Call the command ``xlmerge`` in this process; an error without a message of its own is raised."""
    result = CliRunner().invoke(main, list(map(str, words)), prog_name="xlmerge")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeeded(done: Done) -> str:
    """Return the output of a run that must have succeeded."""
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Iterator[Path]:
    """Yield a folder that `make` fills once for all of pytest's workers; whoever changes what is in it is found out."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    record = folder.with_suffix(".json")
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            shutil.rmtree(folder, ignore_errors=True)  # a making that failed
            folder.mkdir()
            make(folder)
            record.write_text(json.dumps(state(folder)), encoding="utf-8")
    yield folder
    made, left = json.loads(record.read_text(encoding="utf-8")), state(folder)
    changed = [path for path in {**made, **left} if made.get(path) != left.get(path)]
    assert not changed, f"a test changed what all tests share: {', '.join(changed[:5])}"


def state(folder: Path) -> dict[str, list[int]]:
    """Return size and time of all files but Snakemake's own records and locks."""
    files = {path.relative_to(folder): path.stat() for path in folder.rglob("*") if path.is_file()}
    seen = {path: found for path, found in files.items() if not any(part.startswith(".") for part in path.parts)}
    return {str(path): [found.st_size, found.st_mtime_ns] for path, found in seen.items()}


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a finished run of the tiny preset; do not change it (see `tiny_copy`)."""
    yield from shared(tmp_path_factory, "tiny", lambda folder: succeeded(snakemake(folder, preset("tiny"))))


@pytest.fixture(scope="session")
def rehearsal_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a finished rehearsal of the 49-locale study (minutes); do not change it."""
    from tests.rehearsal import rehearsal_config, write_rehearsal

    def make(folder: Path) -> None:
        config = rehearsal_config()
        write_rehearsal(folder, config["locales"])
        succeeded(snakemake(folder, config, "--cores", "2"))

    yield from shared(tmp_path_factory, "rehearsal", make)


@pytest.fixture
def tiny_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished tiny run, with modification times and Snakemake's records, to change at will."""
    return copied(tiny_run, tmp_path)


def copied(directory: Path, folder: Path) -> Path:
    """Copy a directory with modification times and Snakemake's records into a folder."""
    return Path(shutil.copytree(directory, folder / "copy", symlinks=True))
