"""GPUs of one's own for each job on a machine without a batch system."""

import fcntl
import os
import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from workflow_scripts.core.errors import XlmergeError

_HELD: list[int] = []  # descriptors of the locks; the kernel releases them when the process ends


def claim_gpus(count: int = 1) -> str | None:
    """Keep some GPUs for this process, waiting for free ones, and make them the only visible ones.

    Candidates are those of CUDA_VISIBLE_DEVICES if it is set, else all of the machine. Every job that comes here
    takes a lock per GPU, so that jobs of several runs share out the GPUs as well; a job that does not get all that it
    needs keeps none, so that no two wait for each other.

    Returns
    -------
    str or None
        The GPUs as CUDA_VISIBLE_DEVICES names them; None on a machine without one.

    Raises
    ------
    XlmergeError
        If there are fewer GPUs.
    """
    devices = visible_gpus()
    if not devices:
        return None
    if len(devices) < count:
        raise XlmergeError(f"the job asks for {count} GPUs, there are {len(devices)}: lower the rule's resource `gpu`")
    while len(held := _lock_free(devices, count)) < count:
        for descriptor in held.values():
            os.close(descriptor)
        time.sleep(random.uniform(0.3, 0.7))
    _HELD.extend(held.values())
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(held)
    return os.environ["CUDA_VISIBLE_DEVICES"]


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, without loading a GPU library."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    return [str(i) for i, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def _lock_free(devices: Iterable[str], count: int) -> dict[str, int]:
    """Lock free GPUs, so many at most; return each one's descriptor."""
    held: dict[str, int] = {}
    for device in devices:
        if len(held) < count and (descriptor := _lock(device)) is not None:
            held[device] = descriptor
    return held


def _lock(device: str) -> int | None:
    path = Path(tempfile.gettempdir()) / f"xlmerge-{os.getuid()}-gpu-{device.replace('/', '_')}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def has_bfloat16() -> bool:
    """Tell whether the GPU, or without one the CPU, multiplies bfloat16 natively."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())
