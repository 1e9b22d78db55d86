"""The plan of a run in words: jobs and reasons per rule, what is computed, what it takes."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from tabulate import tabulate

from workflow_scripts.core.study import Study
from workflow_scripts.planning.estimates import Estimate, estimate
from workflow_scripts.planning.jobs import Job
from workflow_scripts.planning.work import Work, count_work

THINGS = {"finetune": ("training", "trainings"), "row": ("cell", "cells"), "merge": ("merge", "merges")}
NAMED = 3  # so many locales are named, more are counted
WIDTHS = [None, None, 50, None, None, None, None, None]
NO_PRICE = "?"


def overview(study: Study, jobs: list[Job]) -> str:
    """Return the text that ``make plan`` prints."""
    due = [job for job in jobs if job.due]
    if not due:
        return f"Run {study.run.run}: nothing to be done."
    work = count_work(jobs, study)
    by_rule = {rule: list(group) for rule, group in groupby(jobs, key=lambda job: job.rule)}
    by_rule = {rule: found for rule, found in by_rule.items() if any(job.due for job in found)}
    estimates = {rule: estimate(rule, found, work.get(rule)) for rule, found in by_rule.items()}
    rows = [
        {**_stage(rule, found, work.get(rule)), **_amounts([e] if (e := estimates[rule]) else [])}
        for rule, found in by_rule.items()
    ]
    rows.append({"rule": "sum", "jobs": len(due), **_amounts([e for e in estimates.values() if e])})
    if not any(e.gpu_seconds for e in estimates.values() if e):
        rows = [{key: value for key, value in row.items() if key != "GPU time"} for row in rows]
    table = tabulate(
        rows, headers="keys", tablefmt="simple", maxcolwidths=WIDTHS[: len(rows[0])], disable_numparse=True
    )
    most = "at most " if "select" in by_rule else ""
    title = f"Run {study.run.run}: {most}{len(due)} of {len(jobs)} jobs are due."
    return "\n\n".join([title, table, *_notes(due, estimates)])


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
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f" ({', '.join(names[:NAMED])}{rest})"


def _to_compute(rule: str, work: Work | None) -> str:
    if work is None:
        return ""
    things = THINGS[rule][work.most != 1]
    counted = f"{'at most ' if work.unknown else ''}{work.most} {things}"
    return f"{counted}; {work.cached} in the cache" if work.cached else counted


def _amounts(found: list[Estimate]) -> dict[str, str]:
    amounts = {
        "job time": duration(sum(e.seconds for e in found)),
        "CPU time": duration(sum(e.cpu_seconds for e in found)),
        "GPU time": duration(sum(e.gpu_seconds for e in found)),
        "new on disk": size(sum(e.size for e in found)),
    }
    return amounts if found else dict.fromkeys(amounts, NO_PRICE)


def duration(seconds: float) -> str:
    """Return a duration as ``45 s``, ``3 min`` or ``2.5 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Return a number of bytes as ``12 MB`` or ``1.5 GB``."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def _notes(due: list[Job], estimates: Mapping[str, Estimate | None]) -> list[str]:
    rules = {job.rule for job in due}
    notes = ["Times are sums over jobs, from the median of this run's finished jobs; starting a job is not in them."]
    unpriced = [rule for rule, found in estimates.items() if found is None]
    if unpriced:
        notes.append(f"{NO_PRICE}: no finished job to estimate from ({', '.join(unpriced)}); not in the sum.")
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
