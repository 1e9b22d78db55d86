"""How much of what is due has to be computed, and how much of it a cache holds already."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workflow_scripts.core.digests import read_digest
from workflow_scripts.evaluation.cells import CellCache, Decision, decided_scoring, foreseen_decision
from workflow_scripts.evaluation.packs import SPLITS
from workflow_scripts.merging.merge_cells import Identities, facts_entry
from workflow_scripts.models.train_job import trained_digest, training_entry
from workflow_scripts.planning.jobs import Job
from workflow_scripts.selection.systems import SHRUNK_TOP1
from workflow_scripts.study.study import Study


@dataclass
class Work:
    """Trainings, cells or merges of the jobs that are due.

    Attributes
    ----------
    computed, cached : int
        Those that are known to be in no cache, or in one.
    unknown : int
        Those whose content depends on jobs that have yet to run: they may turn out to be cached.
    jobs : int
        Jobs that have something to compute, or may have.
    """

    computed: int = 0
    cached: int = 0
    unknown: int = 0
    jobs: int = 0

    @property
    def most(self) -> int:
        """How many are computed at most."""
        return self.computed + self.unknown

    def add(self, states: Iterable[bool | None]) -> None:
        """Take in a job's things: True for one that is cached, False for one that is not, None if nobody knows."""
        states = list(states)
        self.cached += states.count(True)
        self.computed += states.count(False)
        self.unknown += states.count(None)
        self.jobs += states.count(True) < len(states)


class Foreseen:
    """Digest files as they will be when the run is over.

    Those of jobs that are not due are as they are; those of due jobs are unknown, unless somebody foresees them.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._open = {file for job in jobs if job.due for file in job.files}
        self._foreseen: dict[str, str] = {}

    def __call__(self, path: str) -> str | None:
        """Return a digest file's content, or None."""
        return self._foreseen.get(path) if path in self._open else read_digest(path)

    def foresee(self, path: str, digest: str) -> None:
        """Note what a due job will write."""
        self._foreseen[path] = digest


def count_work(jobs: Iterable[Job], study: Study) -> dict[str, Work]:
    """Return the work of each rule that looks things up, by rule.

    Parameters
    ----------
    jobs : list of Job
        All jobs of the run, in the order of their rules: a cached model makes its row's cells known.
    study : Study
    """
    jobs = list(jobs)
    digest = Foreseen(jobs)
    counters: dict[str, Callable[[Job], Iterator[bool | None]]] = {
        "finetune": lambda job: _training(job, digest),
        "row": lambda job: _cells(job, digest),
        "merge": lambda job: _merges(job, digest, study),
    }
    work = {rule: Work() for rule in counters}
    for job in jobs:
        if job.due and job.rule in work:
            work[job.rule].add(counters[job.rule](job))
    return work


def _training(job: Job, digest: Foreseen) -> Iterator[bool | None]:
    data = {name: digest(job.inputs[f"{name}_digest"]) for name in ("base", "train", "validation")}
    foreseen = {name: value for name, value in data.items() if value is not None}
    if len(foreseen) < len(data) or job.settings is None:
        yield None
        return
    model = trained_digest(training_entry(job.settings, foreseen))
    if model is not None:
        digest.foresee(job.outputs["digest"], model)
    yield model is not None


def _cells(job: Job, digest: Foreseen) -> Iterator[bool | None]:
    scoring, made = (job.settings or {})["scoring"], foreseen_decision(job.inputs, digest)
    base, model = digest(job.inputs["base_digest"]), digest(job.inputs["model_digest"])
    data = zip(*(job.inputs[f"{split}_digests"] for split in SPLITS), strict=True)
    for digests in ([digest(path) for path in paths] for paths in data):
        yield _scored(scoring, made, model, base, digests)


def _merges(job: Job, digest: Foreseen, study: Study) -> Iterator[bool | None]:
    if job.settings is None:  # the selection has yet to run
        yield from [None] * most_merges(study, job.subject)
        return
    base, made = digest(job.inputs["base_digest"]), foreseen_decision(job.inputs, digest)
    data = [digest(path) for split in SPLITS for path in job.inputs[f"{split}_digests"]]
    identities = list(Identities(job.inputs, job.settings, digest).all.values())
    yield from [None for identity in identities if identity is None]
    for identity in dict.fromkeys(i for i in identities if i is not None):
        scored = _scored(job.settings["scoring"], made, identity, base, data)
        yield scored and facts_entry(job.settings["scoring"], identity).exists()


def most_merges(study: Study, target: str) -> int:
    """Return how many merges a target has per seed at most, baselines that are merges included."""
    wanted = [spec for spec in study.experiments.values() if target in spec.targets]
    return len(wanted) * (2 if SHRUNK_TOP1 in study.run.baselines else 1) + len(study.merged_baselines)


def _scored(
    scoring: Mapping[str, Any],
    made: Decision | None,
    model: str | None,
    base: str | None,
    data: list[str | None],
) -> bool | None:
    """Tell whether the cache has a model's scores on all of `data`; None if a digest, or the precision, is unknown."""
    digests = [value for value in data if value is not None]
    if made is None or model is None or base is None or len(digests) < len(data):
        return None
    cache = CellCache(decided_scoring(scoring, made), model, base)
    return all(cache.entry(value).exists() for value in digests)
