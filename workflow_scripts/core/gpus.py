"""One GPU per job on a machine without a batch system."""

import fcntl
import os
import tempfile
import time
from pathlib import Path

_HELD: list[int] = []  # descriptors of the locks; the kernel releases them when the process ends


def claim_gpu() -> str | None:
    """Keep one GPU for this process, waiting for a free one, and make it the only visible one.

    Candidates are those of CUDA_VISIBLE_DEVICES if it is set, else all of the machine. Every job that comes here
    takes a lock per GPU, so that jobs of several runs share out the GPUs as well.

    Returns
    -------
    str or None
        The GPU as CUDA_VISIBLE_DEVICES names it; None on a machine without one.
    """
    devices = visible_gpus()
    while devices:
        for device in devices:
            if _lock(device):
                os.environ["CUDA_VISIBLE_DEVICES"] = device
                return device
        time.sleep(0.5)
    return None


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, without loading a GPU library."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    return [str(i) for i, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def _lock(device: str) -> bool:
    path = Path(tempfile.gettempdir()) / f"xlmerge-{os.getuid()}-gpu-{device.replace('/', '_')}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _HELD.append(descriptor)
    return True
