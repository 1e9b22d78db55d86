"""What all tests share: running Snakemake as a user does, and one finished tiny run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from workflow_scripts.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
XLMERGE = str(Path(sys.executable).with_name("xlmerge"))  # `make install` makes it
Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def preset(name: str, **changes: Any) -> dict[str, Any]:
    """Return a preset's config with top-level keys changed."""
    content = yaml.safe_load((ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {**content, **changes}


def snakemake(
    directory: Path,
    config: dict[str, Any],
    *args: str,
    cores: int = 2,
    root: Path = ROOT,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the workflow of `root` in a directory with a config; output and error come back as one text."""
    variables = {**os.environ, "COLUMNS": "200", **(environment or {})}
    return subprocess.run(
        command(directory, config, *args, cores=cores, root=root),
        cwd=directory,
        env=variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def command(directory: Path, config: dict[str, Any], *args: str, cores: int = 2, root: Path = ROOT) -> list[str]:
    """Write the config into a directory and return the command that runs it there."""
    path = directory / "run.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(directory)]
    return [*words, "--configfile", str(path), "--cores", str(cores), *args]


def xlmerge(*words: str | Path) -> Result:
    """Call the command ``xlmerge`` in this process; an error without a message of its own is raised."""
    result = CliRunner().invoke(main, list(map(str, words)), prog_name="xlmerge")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a run that must have succeeded."""
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished run of the tiny preset; do not change it (see `tiny_copy`)."""
    directory = tmp_path_factory.mktemp("tiny")
    succeeded(snakemake(directory, preset("tiny")))
    return directory


@pytest.fixture(scope="session")
def rehearsal_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished rehearsal of the 49-locale study (minutes); do not change it."""
    from tests.rehearsal import rehearsal_config, write_rehearsal

    directory, config = tmp_path_factory.mktemp("rehearsal"), rehearsal_config()
    write_rehearsal(directory, config["locales"])
    succeeded(snakemake(directory, config))
    return directory


@pytest.fixture
def tiny_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished tiny run, with modification times and Snakemake's records, to change at will."""
    directory = tmp_path / "tiny"
    shutil.copytree(tiny_run, directory, symlinks=True)
    return directory
