"""What commands take: CPU seconds and peak memory, of a process alone or of every job of a workflow."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from resource import struct_rusage
from typing import Any

import pandas as pd
import psutil

JOB = ".snakemake/scripts/"  # where Snakemake puts the script of a job; the file's name ends in that of the entry point


@dataclass
class Watched:
    """What a command and the jobs that it started took."""

    wall: float = 0.0
    head: tuple[float, int] = (0.0, 0)  # CPU seconds and peak MB of the command itself
    jobs: dict[tuple[str, int], tuple[float, int]] = field(default_factory=dict)  # (entry point, process) → the same

    def table(self) -> pd.DataFrame:
        """Return one row per entry point, in the order of their first jobs."""
        columns = ["job", "process", "cpu", "peak"]
        found = pd.DataFrame([(*key, *took) for key, took in self.jobs.items()], columns=columns)
        grouped = found.groupby("job", sort=False).agg(
            jobs=("cpu", "size"), cpu_seconds=("cpu", "sum"), longest=("cpu", "max"), peak_mb=("peak", "max")
        )
        return grouped.round(1).reset_index()


def watch(command: list[str], folder: Path, environment: dict[str, str]) -> Watched:
    """Run a command, which must succeed, and look at its jobs every twentieth of a second until it ends.

    What a job does in the last instants of its life is missed.
    """
    found = Watched()

    def look(process: int) -> None:
        found.jobs |= jobs_below(process)
        found.head = (cpu_seconds(process), max(found.head[1], resident_mb(process)))

    found.wall, *_ = _run(command, look, 0.05, cwd=folder, env=environment)
    return found


def _run(
    command: list[str], look: Callable[[int], None], pause: float, **where: Any
) -> tuple[float, struct_rusage, str]:
    """Run a command, which must succeed, looking at its process all the time; return wall seconds, usage and output."""
    start, done = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, **where)
        while not done:
            look(process.pid)
            time.sleep(pause)
            done, status, used = os.wait4(process.pid, os.WNOHANG)
        said.seek(0)
        text = said.read().decode(errors="replace")
    assert status == 0, text[-3000:]
    return time.perf_counter() - start, used, text


def jobs_below(head: int) -> dict[tuple[str, int], tuple[float, int]]:
    """Return (entry point, process) → CPU seconds and peak MB so far, of the jobs that run."""
    found = {}
    for child in psutil.Process(head).children(recursive=True):
        try:
            words = child.cmdline()
            if len(words) == 2 and JOB in words[1]:
                name = Path(words[1]).stem.split(".", 1)[-1]
                found[name, child.pid] = (cpu_seconds(child.pid), resident_mb(child.pid))
        except (psutil.NoSuchProcess, psutil.ZombieProcess, OSError):
            continue  # it has just ended
    return found


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds of a process, without those of its children."""
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def resident_mb(process: int) -> int:
    """Return the most memory that a process has had so far (`getrusage` would count its parent's before it started)."""
    status = Path(f"/proc/{process}/status").read_text()
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0]) // 1024 if found else 0


def measured(command: list[str]) -> dict[str, Any]:
    """Return wall and CPU seconds, peak memory and output of a command that must succeed."""
    peaks = [0]
    wall, used, text = _run(command, lambda process: peaks.append(resident_mb(process)), 0.1)
    return {
        "seconds": round(wall, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": max(peaks),
        "said": text,
    }


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Return folder → (bytes, files), of the folders in one."""
    found = {}
    for part in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = [p for p in part.rglob("*") if p.is_file()]
        found[part.name] = (sum(p.stat().st_size for p in files), len(files))
    return found
