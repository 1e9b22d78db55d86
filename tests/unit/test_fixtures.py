"""What the tests themselves rest on: forks that do what a new Python does, and folders that nobody may change."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import preloaded
from tests.conftest import ROOT, python, shared

only_with_forks = pytest.mark.skipif(preloaded.ADDRESS not in os.environ, reason="there is no preloaded process")

TELL = """
import os, sys
print(sys.argv, os.getcwd(), os.environ.get("FAVOURITE"), sys.path[:2], __name__, __file__, flush=True)
print([name for name in sys.modules if name.startswith("workflow_scripts")], sys.stdin.read(), flush=True)
print("an error", file=sys.stderr)
"""
ENDS = {
    "by itself": "",
    "with a code": "raise SystemExit(3)",
    "with a message": "raise SystemExit('no')",
    "with an exception": "raise ValueError('no')",
    "at once": "import os; print('said', flush=True); os._exit(4)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}
WAIT = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
ASK = """
import os, sys
from tests import preloaded
preloaded.run(os.environ[preloaded.ADDRESS], [sys.argv[1]], os.getcwd(), dict(os.environ), (1, 2))
"""


@only_with_forks
def test_a_fork_is_told_what_a_new_python_is_told(tmp_path: Path) -> None:
    script = tmp_path / "folder" / "tell.py"
    script.parent.mkdir()
    script.write_text(TELL)
    arguments, variables = [str(script), "one", "--two"], {"FAVOURITE": "ties", "PYTHONPATH": str(ROOT)}
    forked, true = (python(arguments, tmp_path, variables, true=true) for true in (False, True))
    assert "'--two'" in forked.stdout and "an error" in forked.stdout
    assert (forked.stdout, forked.returncode) == (true.stdout, true.returncode)


@only_with_forks
@pytest.mark.parametrize("end", ENDS)
def test_a_fork_ends_as_a_new_python_does(end: str, tmp_path: Path) -> None:
    script = tmp_path / "end.py"
    script.write_text(ENDS[end])
    forked, true = (python([str(script)], tmp_path, true=true) for true in (False, True))
    assert (forked.returncode, forked.stdout.splitlines()[-1:]) == (true.returncode, true.stdout.splitlines()[-1:])


@only_with_forks
def test_a_fork_dies_with_whoever_asked_for_it(tmp_path: Path) -> None:
    (tmp_path / "wait.py").write_text(WAIT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    asking = subprocess.Popen([sys.executable, "-c", ASK, "wait.py"], cwd=tmp_path, env=environment)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    process = Path("/proc", (tmp_path / "pid").read_text())
    assert process.exists()
    asking.kill()
    asking.wait()
    until(lambda: not process.exists())


def until(condition: object) -> None:
    """Wait for something that comes at once, or fail."""
    deadline = time.monotonic() + 60  # the libraries may have to be loaded first
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def lender(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest):
    """A shared folder as a fixture lends it; its end is up to the test."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        (folder / "result").write_text("1")
        made.append(folder)

    return shared(tmp_path_factory, f"lent-{request.node.name}", make), made


def test_a_shared_folder_is_made_once_and_may_be_read(lender) -> None:
    lent, made = lender
    folder = next(lent)
    assert (folder / "result").read_text() == "1" and made == [folder]
    (folder / ".lock").touch()
    assert list(lent) == []


@pytest.mark.parametrize("change", ["written", "added", "removed"])
def test_who_changes_a_shared_folder_is_found_out(change: str, lender) -> None:
    folder = next(lender[0])
    if change == "written":
        (folder / "result").write_text("2")
        os.utime(folder / "result", (0, 0))
    elif change == "added":
        (folder / "other").touch()
    else:
        (folder / "result").unlink()
    with pytest.raises(AssertionError, match=r"a test changed what all tests share: (result|other)"):
        next(lender[0])
