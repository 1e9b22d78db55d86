"""What surrounds the jobs: the folders they run from, environment variables, and a parent that they do not outlive."""

import ctypes
import os
import signal
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
DEFAULTS = {
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads of two processes starve each other
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def workflow_folder() -> Path:
    """Return the folder of the Snakefile, rules, profiles and presets: beside the package in a clone, else in it."""
    clone = PACKAGE.parent
    return clone if (clone / "Snakefile").is_file() else PACKAGE / "workflow"


def set_environment() -> None:
    """Let every job, local or submitted, import a clone's package; set defaults the user may override."""
    clone = PACKAGE.parent
    if workflow_folder() == clone:
        paths = [str(clone), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it dies, so that no job outlives its head."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() == 1:  # the parent died before the call above
            os.kill(os.getpid(), signal.SIGKILL)
