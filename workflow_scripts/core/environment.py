"""Environment variables of the jobs."""

import os

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
