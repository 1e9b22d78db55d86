"""The plan of a run in words: jobs and reasons per rule, what is computed, what it takes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from tabulate import tabulate

from workflow_scripts.core.words import duration, first_of, size
from workflow_scripts.planning.estimates import Estimate
from workflow_scripts.planning.forecast import DEVICES, Forecast, forecast, make_models, unknown_sizes
from workflow_scripts.planning.jobs import Job
from workflow_scripts.planning.model import SUBMITTED
from workflow_scripts.planning.totals import totals
from workflow_scripts.planning.work import Work, count_work
from workflow_scripts.study.study import Study

THINGS = {"finetune": ("training", "trainings"), "row": ("cell", "cells"), "merge": ("merge", "merges")}
NAMED = 3  # so many locales are named, more are counted
WIDTHS = [None, None, 50, None, None, None, None]
GPUS = (1, 4, 8, 16)
NO_PRICE = "?"
TIMES = (
    "Times are sums over jobs, from the median of this run's finished jobs, or (~) from rates measured elsewhere; "
    "starting a job is not in the table."
)


def overview(study: Study, jobs: list[Job], gpus: Sequence[int] = GPUS, speed: float = 1.0) -> str:
    """Return the text that ``make plan`` prints.

    Parameters
    ----------
    study : Study
    jobs : list of Job
    gpus : sequence of int
        Numbers of GPUs to say the wall time for.
    speed : float
        Of a GPU, relative to the one that was measured.
    """
    due = [job for job in jobs if job.due]
    if not due:
        return f"Run {study.run.run}: nothing to be done."
    work, models = count_work(jobs, study), make_models(study, speed)
    by_rule = {rule: list(group) for rule, group in groupby(jobs, key=lambda job: job.rule)}
    by_rule = {rule: same for rule, same in by_rule.items() if any(job.due for job in same)}
    forecasts = {name: forecast(by_rule, work, name, models.get(name)) for name in DEVICES}
    rows = [
        {**_stage(rule, same, work.get(rule)), **_amounts({n: {rule: f[rule]} for n, f in forecasts.items()})}
        for rule, same in by_rule.items()
    ]
    rows.append({"rule": "sum", "jobs": len(due), **_amounts(forecasts)})
    table = tabulate(rows, headers="keys", tablefmt="simple", maxcolwidths=WIDTHS, disable_numparse=True)
    most = "at most " if "select" in by_rule else ""
    title = f"Run {study.run.run}: {most}{len(due)} of {len(jobs)} jobs are due."
    notes = _notes(study, due, forecasts)
    return "\n\n".join([title, table, *totals(forecasts, models, work, gpus), *notes])


def _stage(rule: str, jobs: list[Job], work: Work | None) -> dict[str, object]:
    due = [job for job in jobs if job.due]
    why = "; ".join(reasons(due, len(jobs)))
    return {"rule": rule, "jobs": len(due), "why": why, "to compute": _to_compute(rule, work)}


def reasons(jobs: Iterable[Job], of: int) -> list[str]:
    """Return the reasons of a rule's due jobs, grouped, each with what they are about; the rule has `of` jobs."""
    groups: dict[str, list[str]] = {}
    for job in jobs:
        groups.setdefault(job.reasons[0], []).append(job.subject)
    return [f"{reason}{_named(subjects, of)}" for reason, subjects in groups.items()]


def _named(subjects: list[str], of: int) -> str:
    names = list(dict.fromkeys(filter(None, subjects)))
    if not names:
        return ""
    if len(subjects) == of > NAMED:
        return f" (all {len(names)})"
    return f" ({first_of(names, NAMED)})"


def _to_compute(rule: str, work: Work | None) -> str:
    if work is None:
        return ""
    things = THINGS[rule][work.most != 1]
    counted = f"{'at most ' if work.unknown else ''}{work.most} {things}"
    return f"{counted}; {work.cached} in the cache" if work.cached else counted


def _amounts(forecasts: Mapping[str, Forecast]) -> dict[str, str]:
    """Return the cells of a rule, or of all of them: the time without a GPU, with one, and the disk."""
    cpu, gpu = (forecasts[name] for name in DEVICES)
    held = {rule: stage for rule, stage in gpu.items() if rule in SUBMITTED}
    return {
        "CPU time": _sum(cpu, lambda e: duration(e.cpu_seconds)),
        "or GPU time": _sum(held, lambda e: duration(e.gpu_seconds)) if held else "",
        "new on disk": _sum(cpu, lambda e: size(e.size)),
    }


def _sum(stages: Forecast, say: Callable[[Estimate], str]) -> str:
    """Return a sum in words, marked if rates measured elsewhere are in it; rules without an estimate are not."""
    estimates = [stage.estimate for stage in stages.values() if stage.estimate]
    if not estimates:
        return NO_PRICE
    columns = zip(*((e.seconds, e.cpu_seconds, e.gpu_seconds, e.size) for e in estimates), strict=True)
    said = say(Estimate(*map(sum, columns)))
    return f"~{said}" if any(stage.modelled for stage in stages.values()) else said


def _notes(study: Study, due: list[Job], forecasts: Mapping[str, Forecast]) -> list[str]:
    rules = {job.rule for job in due}
    notes = [TIMES]
    unpriced = [rule for rule, stage in forecasts["cpu"].items() if stage.estimate is None]
    if unpriced:
        why = "; ".join(unknown_sizes(study)) or "this number format was not measured there"
        notes.append(f"{NO_PRICE}: nothing to estimate from ({', '.join(unpriced)}); not in the sum: {why}.")
    if "examples" in rules:
        notes.append(
            "Until the data are prepared nobody knows whether trainings, cells and merges will be found in the cache. "
            "`snakemake data` prepares them, a second per table; plan again after it."
        )
    if "select" in rules:
        notes.append(
            "Merges are an upper bound: those whose sources and weights the new selection leaves as they are will not "
            "be made again, nor will what follows them."
        )
    return notes
