"""How a run begins and ends: its lock, the scheduler's timer, what it will take, what it found and where that is."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from snakemake.exceptions import WorkflowError

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.messages import batch_system_errors, warn
from workflow_scripts.running.console import Console
from workflow_scripts.running.course import amounts, course_of, unpriced_course
from workflow_scripts.running.stages import job_details, stage_sentences
from workflow_scripts.study.study import Study

DEFAULT_RATE = (100, 1)  # Snakemake's limit: jobs, seconds

_locks: list[IO[str]] = []  # open as long as the process lives


@contextlib.contextmanager
def clean_errors() -> Iterator[None]:
    """Let Snakemake show our errors as one message without a traceback."""
    try:
        yield
    except XlmergeError as error:
        raise WorkflowError(f"xlmerge: {error}") from None


def begin(workflow: Any, study: Study, console: Console | None, logs: Iterable[str]) -> None:
    """Take the run's lock, say what the run will take, and let the console follow it."""
    with clean_errors():
        hold_run_lock(study)
    wake_when_jobs_end(workflow)
    if console is None:
        return
    console.sentences, console.details = stage_sentences(study), job_details(study)
    console.log_files = [shown(Path(log)) for log in logs]
    try:
        course = course_of(workflow, study)
    except (OSError, ValueError, KeyError) as error:  # an unreadable sidecar must not keep a run from making it again
        warn(f"what the run will take cannot be estimated: {error!r}")
        course = unpriced_course(workflow)
    console.follow(course, amounts(course, workflow.resource_settings.cores if workflow.local_exec else 0))


def end(study: Study, console: Console | None) -> None:
    """Say what a finished run found."""
    if console:
        console.end()
    print_summary(study)


def hold_run_lock(study: Study) -> None:
    """Lock a run; the lock goes with the process, however it ends.

    Raises
    ------
    XlmergeError
        If another Snakemake works on the run, or nothing can be written there.
    """
    path = Path(study.paths.lock)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise XlmergeError(
            f"{path.parent} cannot be written to ({error.strerror}): make it writable, or run in another folder "
            "(`--directory`)"
        ) from None
    _locks.append(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise XlmergeError(f"another Snakemake is working on run {study.run.run!r} ({path} is held)") from None
    except OSError as error:
        problem = f"{path} cannot be locked ({error}): start no second Snakemake on this run"
        print(f"xlmerge: warning: {problem}", file=sys.stderr)


def wake_when_jobs_end(workflow: Any) -> None:
    """Let Snakemake's scheduler wait for events alone, unless the user limits the rate of jobs.

    Its default limit wakes it once a second for each job that has ended, as long as jobs wait; it then looks at all
    inputs of all waiting jobs. With N waiting rows of N inputs each the run's head is busier than the jobs.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == DEFAULT_RATE:
        workflow.scheduler.job_rate_limiter = None


def print_summary(study: Study) -> None:
    """Say what a finished run found, and where the report is."""
    page, summary = (Path(study.paths.report, name) for name in ("report.html", "summary.txt"))
    if page.is_file() and summary.is_file():
        print(f"\n{summary.read_text(encoding='utf-8')}\nThe report: {shown(page)}")


def shown(path: Path) -> str:
    """Return a path that works where the user stands: relative only if Snakemake was not sent to another folder."""
    where = os.environ.get("PWD", "nowhere")
    here = Path(where).is_dir() and Path(where).samefile(Path.cwd())
    whole = path.absolute()
    return str(whole.relative_to(Path.cwd()) if here and whole.is_relative_to(Path.cwd()) else whole)


def print_batch_system_errors(logs: Iterable[str | Path], console: Console | None) -> None:
    """Say what the batch system said about failed jobs."""
    if console:
        console.end()
    for text in batch_system_errors(logs):
        print(f"xlmerge: {text}", file=sys.stderr)
