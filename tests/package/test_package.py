"""The wheel and the sdist: what they hold, and that an installed wheel runs a study outside a clone, from scratch.

All its processes are new ones; that a clone's run in forks of one process gives the same bytes is shown here too.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, succeeded

pytest.importorskip("build", reason="build is not installed (make install-dev)")
OF_THE_WORKFLOW = ("Snakefile", "config.yaml", "envs/", "presets/", "profiles/", "rules/")


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command without this checkout on Python's path; output and error come back as one text."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    options = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "check": False}
    return subprocess.run(list(map(str, words)), cwd=cwd, env={**variables, "COLUMNS": "200"}, **options)


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    succeeded(run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder))
    return folder


@pytest.fixture(scope="module")
def command(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of the wheel, installed into an environment that borrows the libraries of this one."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (wheel,) = built.glob("*.whl")
    words = ["-m", "pip", "--python", folder / "bin/python", "install", "--quiet", "--no-deps", "--no-index", wheel]
    succeeded(run(sys.executable, *words, cwd=folder))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder / "bin/xlmerge"


def test_the_sdist_holds_every_tracked_file(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    assert not set(tracked()) - there


def test_the_wheel_holds_the_package_and_the_workflow_whole(built: Path) -> None:
    (file,) = built.glob("*.whl")
    there = set(zipfile.ZipFile(file).namelist())
    package = [name for name in tracked() if name.startswith("workflow_scripts/")]
    workflow = [f"workflow_scripts/workflow/{name}" for name in tracked() if name.startswith(OF_THE_WORKFLOW)]
    assert len(package) > 200 and len(workflow) > 30
    assert not {*package, *workflow, "workflow_scripts/workflow/docs/reference/config.schema.json"} - there


def test_an_installed_wheel_runs_a_study_outside_a_clone(command: Path, tiny_run: Path, tmp_path: Path) -> None:
    succeeded(run(command, "init", "tiny", "--preset", "tiny", cwd=tmp_path))
    study = tmp_path / "tiny"
    dry = succeeded(run(command, "run", "--configfile", "config.yaml", "-n", cwd=study))
    assert f"{ROOT}/" not in dry and "site-packages/workflow_scripts/workflow/profiles/default" in dry
    assert not (study / "results").exists()
    assert "trainings" in succeeded(run(command, "plan", cwd=study))
    succeeded(run(command, "run", "-c", "2", cwd=study))
    assert (study / "results/tiny/report/report.html").is_file()
    for pattern in ("models/*/seed0/model.safetensors", "nxn/*.csv", "evaluation/*", "report/*"):
        of_the_clone = [path for path in tiny_run.glob(f"results/tiny/{pattern}") if path.stem != "report"]
        assert of_the_clone, "the reports state wall times, all else is the same bytes"
        for path in of_the_clone:
            name = path.relative_to(tiny_run)
            assert (study / name).read_bytes() == path.read_bytes(), f"{name} differs between two runs"
    assert "Nothing to be done" in succeeded(run(command, "run", cwd=study)), "the default profile's triggers hold"
    assert "The report: " in succeeded(run(command, "report", cwd=study))
    succeeded(run(command, "run", "--profile", "slurm", "-n", "--forceall", cwd=study))
