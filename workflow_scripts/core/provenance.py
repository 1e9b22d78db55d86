"""Sidecars: every artefact says how, when and from what it was made."""

import os
import platform
from pathlib import Path
from typing import Any

from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.lookup import versions


def sidecar(
    rule: str, settings: dict[str, Any], code: str, inputs: dict[str, Any], watch: Stopwatch, facts: dict[str, Any]
) -> dict[str, Any]:
    """Return the sidecar of one job: settings, code fingerprint, inputs, versions, cost, and the job's own `facts`.

    ``cost`` is what this job took. Where results may be looked up, the facts hold ``making_cost``, what computing
    them took, and the ``versions`` that it was done with, in whichever job that was: see `lookup.Record`.
    """
    return {
        "rule": rule,
        "settings": settings,
        "code": code,
        "inputs": {k: _digests(v) for k, v in sorted(inputs.items())},
        "versions": versions(),
        "cost": {
            "started_at": watch.started.isoformat(timespec="seconds"),
            **watch.cost(),
            "host": platform.node(),
            "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "slurm_job": os.environ.get("SLURM_JOB_ID"),
        },
        **facts,
    }


def _digests(value: Any) -> Any:
    if isinstance(value, str):
        return _digest_text(value)
    return [_digest_text(v) for v in value]


def _digest_text(path: str) -> str:
    """Return ``path`` or, for a digest file, ``path = content``."""
    if path.endswith(".digest") and os.path.exists(path):
        return f"{path} = {Path(path).read_text(encoding='utf-8').strip()}"
    return path
