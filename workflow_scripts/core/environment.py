"""What surrounds the jobs: environment variables, and a parent that they do not outlive."""

import ctypes
import os
import signal
import sys

DEFAULTS = {
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads of two processes starve each other
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def set_environment(root: str) -> None:
    """Let every job, local or submitted, import the package from `root`; set defaults the user may override."""
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
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
