"""The course of a run: what share of its cost is behind it, how long the rest takes, and what it takes in all."""

import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.core.gpus import visible_gpus
from workflow_scripts.core.paths import user_cache
from workflow_scripts.core.words import duration, plural, size
from workflow_scripts.planning.forecast import LIGHT_CORES, forecast, make_models, submission
from workflow_scripts.planning.jobs import jobs_of
from workflow_scripts.planning.model import MB, NUMBER, SUBMITTED
from workflow_scripts.planning.rates import read_rates
from workflow_scripts.planning.work import count_work
from workflow_scripts.study.study import Study

UNPRICED = 30.0  # seconds that a job counts in percentages while nobody knows what it takes
ALMOST = 0.95  # a running job counts at most so much of what it is expected to take


class Course:
    """What a run has done and has yet to do.

    Parameters
    ----------
    jobs : mapping
        Rule → number of its jobs.
    expected : mapping
        Rule → seconds that one of its jobs is expected to take; rules whose jobs nobody can price are left out.
    places : callable
        Rule → how many of its jobs can run side by side.
    clock : callable
        Seconds, for tests.

    Attributes
    ----------
    needs, fetches : float
        Bytes that the run adds to the disk, and that it downloads.
    """

    def __init__(
        self,
        jobs: Mapping[str, int],
        expected: Mapping[str, float],
        places: Callable[[str], float],
        needs: float = 0.0,
        fetches: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.jobs, self.needs, self.fetches = Counter(jobs), needs, fetches
        self._expected, self._places, self._clock = expected, places, clock
        self._running: dict[int, tuple[str, float]] = {}
        self._done: Counter[str] = Counter()
        self._took: defaultdict[str, float] = defaultdict(float)

    def start(self, job: int, rule: str) -> None:
        """Note that a job starts; a checkpoint may have brought more of them than were announced."""
        self._running[job] = (rule, self._clock())
        started = self._done[rule] + sum(rule == other for other, _ in self._running.values())
        self.jobs[rule] = max(self.jobs[rule], started)

    def finish(self, job: int) -> None:
        """Note that a job is done."""
        rule, began = self._running.pop(job)
        self._done[rule] += 1
        self._took[rule] += self._clock() - began

    def fail(self, job: int) -> None:
        """Note that a job has ended without a result."""
        self._running.pop(job, None)

    def place(self, rule: str) -> tuple[int, int]:
        """Return how many of a rule's jobs are done, and of how many."""
        return self._done[rule], self.jobs[rule]

    @property
    def running(self) -> list[tuple[int, float]]:
        """Running jobs, the oldest first, each with the seconds since it started."""
        now = self._clock()
        return [(job, now - began) for job, (_, began) in self._running.items()]

    def share(self) -> float:
        """Return the share of the cost that is behind the run, between 0 and 1; running jobs count in part."""
        total = sum(self._cost(rule) * count for rule, count in self.jobs.items())
        behind = sum(self._cost(rule) * count for rule, count in self._done.items())
        now = self._clock()
        for rule, began in self._running.values():
            behind += min(now - began, ALMOST * self._cost(rule))
        return min(behind / total, 1.0) if total else 1.0

    def seconds_left(self) -> float | None:
        """Return how long the rest will take on the clock; None while a rule's jobs have no price.

        What finished jobs took counts more than what was expected of them, for their own rule and for those alike.
        """
        seconds = 0.0
        now = self._clock()
        for rule, count in self.jobs.items():
            left = count - self._done[rule]
            each = self._each(rule)
            if left <= 0:
                continue
            if each is None:
                return None
            spent = sum(min(now - began, ALMOST * each) for other, began in self._running.values() if other == rule)
            seconds += (left * each - spent) / min(self._places(rule), left)
        return seconds

    def _cost(self, rule: str) -> float:
        return self._expected.get(rule, UNPRICED)

    def _each(self, rule: str) -> float | None:
        """Return the seconds of one more job of a rule."""
        if self._done[rule]:
            return self._took[rule] / self._done[rule]
        if rule not in self._expected:
            return None
        alike = [r for r in self._done if r in self._expected and (r in SUBMITTED) == (rule in SUBMITTED)]
        expected = sum(self._expected[r] * self._done[r] for r in alike)
        slower = sum(self._took[r] for r in alike) / expected if expected else 1.0
        return self._expected[rule] * slower


def course_of(workflow: Any, study: Study) -> Course:
    """Return the course of a run whose jobs Snakemake has worked out and not begun.

    What the caches hold already counts as free, as far as it is known before the data are prepared.
    """
    jobs = jobs_of(workflow)
    device, places = _where(workflow)
    by_rule: dict[str, list[Any]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    stages = forecast(by_rule, count_work(jobs, study), device, make_models(study).get(device))
    due = Counter(job.rule.name for job in workflow.dag.needrun_jobs())
    priced = {rule: stage.estimate for rule, stage in stages.items() if stage.estimate and due[rule]}
    expected = {rule: e.seconds / due[rule] + submission(rule, device) for rule, e in priced.items()}
    expected |= {rule: 0.0 for rule in due if rule not in stages}  # without an output: `all` and its like
    return Course(due, expected, places, sum(estimate.size for estimate in priced.values()), downloads(study, due))


def downloads(study: Study, due: Container[str]) -> float:
    """Return how many bytes a run with jobs of these rules fetches; what lies in a cache is not fetched again.

    Parameters
    ----------
    study : Study
    due : container of str
        Rules.
    """
    rates, total = read_rates(), 0.0
    name, provider = study.run.base.name, study.run.data.provider
    if "base" in due and not Path(name).expanduser().is_dir() and not any(user_cache().glob(f"{name}-v*")):
        listed = rates.encoders.get(name)
        if name in rates.downloads:
            total += rates.downloads[name] * MB
        elif listed and name not in registry.names("encoder") and not _in_hub_cache(name):
            _, hidden, vocabulary, body = listed
            total += NUMBER["float32"] * (body * MB + vocabulary * hidden)
    if "fetch" in due and not any(user_cache().glob(f"*{provider}*")):
        total += rates.downloads.get(provider, 0.0) * MB
    return total


def _in_hub_cache(name: str) -> bool:
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    return (home / "hub" / f"models--{name.replace('/', '--')}").is_dir()


def unpriced_course(workflow: Any) -> Course:
    """Return the course of a run of which nothing but its jobs is known."""
    return Course(Counter(job.rule.name for job in workflow.dag.needrun_jobs()), {}, _where(workflow)[1])


def _where(workflow: Any) -> tuple[str, Callable[[str], float]]:
    """Return the kind of device that jobs run on, and how many of a rule's jobs run side by side."""
    cores = workflow.resource_settings.cores or LIGHT_CORES
    if not workflow.local_exec:
        nodes = min(workflow.resource_settings.nodes or sys.maxsize, sys.maxsize)
        return "gpu", lambda rule: nodes if rule in SUBMITTED else LIGHT_CORES
    threads = {rule.name: rule.resources["_cores"] for rule in workflow.rules}
    gpus = _granted(workflow.global_resources.get("gpu")) or len(visible_gpus())

    def places(rule: str) -> float:
        wanted = threads.get(rule, 1)
        beside = max(1.0, cores / wanted) if isinstance(wanted, int) else 1.0
        return min(beside, gpus) if gpus and rule in SUBMITTED else beside

    return "gpu" if gpus else "cpu", places


def _granted(resource: Any) -> int:
    """Return the number that a resource of Snakemake's is limited to, 0 without a limit."""
    return int(getattr(resource, "value", resource) or 0)


def amounts(course: Course, cores: int) -> str:
    """Return what a run will take, in a line: jobs, time, disk."""
    left = course.seconds_left()
    time_needed = "time unknown until a first job of each kind is done" if left is None else f"about {duration(left)}"
    fetched = f"{size(course.fetches)} to download, " if course.fetches else ""
    where = f" on {plural(cores, 'core')}" if cores else ""
    return (
        f"{plural(sum(course.jobs.values()), 'job')}, {time_needed}{where}, {fetched}{size(course.needs)} new on disk"
    )
