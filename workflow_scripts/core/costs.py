"""What making something takes: measured once, kept beside what was made, summed where results are looked up."""

import resource
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

Cost = dict[str, float]
PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


class Stopwatch:
    """The cost of what a process does from here on.

    Attributes
    ----------
    started : datetime
    """

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()
        self._setup: Cost = {}

    def cost(self) -> Cost:
        """Return seconds (wall clock, CPU, with a GPU in use) since the start, and the process's peak memory."""
        wall = round(time.perf_counter() - self._wall, 3)
        return {
            "wall_seconds": wall,
            "cpu_seconds": round(cpu_seconds() - self._cpu, 3),
            "gpu_seconds": wall if uses_gpu() else 0.0,
            "peak_memory_mb": peak_memory_mb(),
        }

    def lap(self) -> Cost:
        """Return the cost of one thing out of several that a job makes; the first bears what getting ready took."""
        spent = total([self._setup, self.cost()])
        self._setup = {}
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()
        return spent

    def ready(self) -> None:
        """Note that what was spent so far was getting ready: loading libraries, a model, texts."""
        spent = self.lap()
        self._setup = {**spent, "setups": 1, "setup_seconds": spent["wall_seconds"]}


def total(costs: Iterable[Mapping[str, float]]) -> Cost:
    """Return the sum of costs; of peaks, the highest."""
    sums: Cost = {}
    for cost in costs:
        for key, value in cost.items():
            sums[key] = max(sums.get(key, 0), value) if key.startswith("peak") else sums.get(key, 0) + value
    return {key: round(value, 3) for key, value in sums.items()}


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it started and that have ended."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, PROCESSES))


def peak_memory_mb() -> float:
    """Return the peak resident memory in MB of this process, or of a larger one that it started."""
    peak = max(resource.getrusage(which).ru_maxrss for which in PROCESSES)
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)


def uses_gpu() -> bool:
    """Tell whether this process has put something on a GPU; does not load torch to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()
