"""What due work will take, from what finished jobs of the same run took."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from workflow_scripts.planning.jobs import Job
from workflow_scripts.planning.work import Work

MADE = {"row": "cells", "merge": "distinct"}  # rule → key of its sidecar: how many things it made; else one
COPIES = {"finetune": 1, "row": 2, "merge": 2}  # a model is hard-linked to the cache, scores are copied into it


@dataclass(frozen=True)
class Price:
    """Median cost of a thing that a rule makes, and of a job's getting ready to make things.

    Attributes
    ----------
    seconds, setup_seconds : float
    cpu, gpu : float
        CPU seconds, and seconds with a GPU, per second of wall time.
    size : float
        Bytes that a thing adds to the disk.
    """

    seconds: float
    setup_seconds: float = 0.0
    cpu: float = 1.0
    gpu: float = 0.0
    size: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """Sums over jobs: seconds on a clock, of CPUs, with a GPU; bytes."""

    seconds: float
    cpu_seconds: float
    gpu_seconds: float
    size: float


def price_of_finished(rule: str, jobs: Iterable[Job], work: Work | None) -> Price | None:
    """Return the median price of the things that a rule makes, or of its jobs; None without a finished job."""
    jobs = list(jobs)
    return _price_of_things(rule, jobs) if work else _price_of_jobs(jobs)


def estimate(jobs: Iterable[Job], work: Work | None, price: Price | None) -> Estimate | None:
    """Return what the due jobs of a rule will take at most, or None without a price.

    Parameters
    ----------
    jobs : list of Job
        All jobs of the rule.
    work : Work or None
        What they have to compute, for a rule that looks things up.
    price : Price or None
        Of a thing that they make, or without `work` of a job.
    """
    jobs = list(jobs)
    if work and not work.most:
        return Estimate(0, 0, 0, 0)
    if price is None:
        return None
    due = [job for job in jobs if job.due]
    things, starts = (work.most, work.jobs) if work else (len(due), len(due))
    seconds = things * price.seconds + starts * price.setup_seconds
    new = things if work else sum(not _exists(job) for job in due)
    return Estimate(seconds, seconds * price.cpu, seconds * price.gpu, new * price.size)


def _price_of_things(rule: str, jobs: list[Job]) -> Price | None:
    """Return the price of a training, cell or merge, from the sidecars."""
    prices = [
        _price(cost, sidecar[MADE[rule]] if rule in MADE else 1, COPIES[rule] * _size(job))
        for job in jobs
        for sidecar in _sidecar(job)
        if (cost := sidecar["making_cost"])
    ]
    return _median(prices)


def _price(cost: Mapping[str, float], things: int, size: int) -> Price:
    setup = cost.get("setup_seconds", 0.0)
    return Price(
        seconds=(cost["wall_seconds"] - setup) / things,
        setup_seconds=setup / cost.get("setups", 1),
        cpu=_ratio(cost, "cpu_seconds"),
        gpu=_ratio(cost, "gpu_seconds"),
        size=size / things,
    )


def _ratio(cost: Mapping[str, float], key: str) -> float:
    return cost[key] / cost["wall_seconds"] if cost["wall_seconds"] else 0.0


def _price_of_jobs(jobs: list[Job]) -> Price | None:
    """Return the price of a light job, from Snakemake's records; its CPU time is taken for its wall time."""
    return _median([Price(job.seconds, size=_size(job)) for job in jobs if job.seconds is not None and _exists(job)])


def _median(prices: list[Price]) -> Price | None:
    if not prices:
        return None

    def middle(value: Callable[[Price], float]) -> float:
        return median(map(value, prices))

    return Price(
        middle(lambda p: p.seconds),
        middle(lambda p: p.setup_seconds),
        middle(lambda p: p.cpu),
        middle(lambda p: p.gpu),
        middle(lambda p: p.size),
    )


def _sidecar(job: Job) -> list[dict[str, Any]]:
    """Return the job's sidecar if it is there and states what its results took."""
    path = Path(job.outputs["info"])
    sidecars = [json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
    return [sidecar for sidecar in sidecars if "making_cost" in sidecar]


def _exists(job: Job) -> bool:
    return all(Path(file).exists() for file in job.files)


def _size(job: Job) -> int:
    return sum(f.stat().st_size for path in map(Path, job.files) for f in _contents(path))


def _contents(path: Path) -> Iterable[Path]:
    return [p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()]
