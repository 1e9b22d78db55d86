"""Sidecars: every artefact says how, when and from what it was made."""

import importlib.metadata
import os
import platform
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow", "datasets", "snakemake")


class Stopwatch:
    """Wall-clock start of a job."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return round(time.perf_counter() - self._start, 3)


def sidecar(
    rule: str, settings: dict[str, Any], inputs: dict[str, Any], watch: Stopwatch, facts: dict[str, Any]
) -> dict[str, Any]:
    """Return the sidecar of one job: settings, code, inputs, versions, cost, and the job's own `facts`."""
    return {
        "rule": rule,
        "settings": settings,
        "inputs": {k: _digests(v) for k, v in sorted(inputs.items())},
        "versions": versions(),
        "cost": {
            "started_at": watch.started.isoformat(timespec="seconds"),
            "wall_seconds": watch.seconds(),
            "cpu_seconds": round(time.process_time(), 3),
            "peak_memory_mb": peak_memory_mb(),
            "host": platform.node(),
            "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "slurm_job": os.environ.get("SLURM_JOB_ID"),
        },
        **facts,
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape results."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)


def _digests(value: Any) -> Any:
    if isinstance(value, str):
        return _digest_text(value)
    return [_digest_text(v) for v in value]


def _digest_text(path: str) -> str:
    """Return ``path`` or, for a digest file, ``path = content``."""
    if path.endswith(".digest") and os.path.exists(path):
        return f"{path} = {Path(path).read_text(encoding='utf-8').strip()}"
    return path
