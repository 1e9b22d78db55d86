"""What the terminal shows of a run, in the place of Snakemake's own log, which stays whole in .snakemake/log."""

import contextlib
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from workflow_scripts.core.words import duration, size
from workflow_scripts.running.course import Course

EVERY = 3.0  # seconds between two lines about finished jobs, where there is no terminal
LAST = "write_report"  # when it starts, all other stages are done, even those that had less to do than announced
SUBJECTS = ("locale", "target", "measure", "figure")  # wildcards that say what a job is about
NOISE = re.compile(
    r"Assuming unrestricted shared filesystem|host:|Using shell|Provided |Rules claiming more threads|Select jobs to ex"
    r"|Execute \d+ jobs|Updating checkpoint dependencies|Conda environments: ignored|Singularity containers: ignored"
    r"|Complete log|Elapsed time|Removing output files of failed job|Exiting because a job execution failed"
    r"|DAG of jobs will be updated|RuleException:\s+CalledProcessError|None$|\s*$"
)
STOPPED = re.compile("Terminating processes on user request|Cancelling snakemake on user request")
UNFINISHED = "At least one job did not complete successfully"
FULL = re.compile(
    r"the disk is full|No space left on device|Disk quota exceeded|\[Errno 28\]|\[Errno 122\]|os error 28"
)
OURS = re.compile(r"xlmerge: (?:error in \w+: |error: )?(?P<message>.*?)(?=\s*(?:\n  File \"|\Z))", re.DOTALL)
ABOVE = re.compile(r"\n +\(check individual jobs above for details\)")  # they are not listed
AGAIN = "run the same command again: what is done is kept"

Content = tuple[float, str, list[str]]  # what is shown below the lines that stay: share, time left, running jobs


class Console(logging.Handler):
    """Shows Snakemake's events: in a terminal as bars under lines that stay, elsewhere as lines with the time.

    Parameters
    ----------
    stream : text file
        Where to write.
    dry : bool
        Is it a dry run?
    quiet : bool
        Are lines about progress unwanted?
    """

    def __init__(self, stream: IO[str], dry: bool = False, quiet: bool = False) -> None:
        super().__init__()
        self.stream, self.dry, self.quiet = stream, dry, quiet
        self.run, self.folder = "", "results"
        self.sentences: Mapping[str, Callable[[], str]] = {}
        self.details: Mapping[str, Callable[[Mapping[str, str]], str]] = {}
        self.course: Course | None = None
        self.screen: Screen | None = None
        self.log_files: list[str] = []
        self._jobs: dict[int, tuple[str, dict[str, str]]] = {}
        self._ended: set[str] = set()  # rules
        self._said: set[str] = set()
        self._failures: list[str] = []
        self._full, self._stopped, self._stats_said = "", False, False
        self._last_line = -EVERY

    def follow(self, course: Course, takes: str) -> None:
        """Show how far a run is from now on; first say what it takes."""
        self.course = course
        if not self.quiet:
            self.say(f"run {self.run}: {takes}")
            if is_terminal(self.stream):
                self.screen = Screen(self.stream, self._bar, lambda: not self._stopped)

    def end(self) -> None:
        """Take the bars away."""
        if self.screen:
            self.screen.close()
            self.screen = None

    def close(self) -> None:
        """End with the logger."""
        self.end()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Show an event, or nothing."""
        event = str(getattr(record, "event", None) or "")
        handle = getattr(self, f"_on_{event}", None)
        if handle:
            handle(record)
        elif not event or record.levelno >= logging.WARNING:
            self._on_message(record)

    def say(self, text: str, timed: bool = True) -> None:
        """Write a line that stays."""
        if self.screen:
            self.screen.say(text)
            return
        stamp = time.strftime("%H:%M:%S  ") if timed and not is_terminal(self.stream) else ""
        self.stream.write(f"{stamp}{text}\n")
        self.stream.flush()

    def _on_run_info(self, record: Any) -> None:
        if self.dry and not self._stats_said and not self.quiet:
            self._stats_said = True
            self.say(record.getMessage(), timed=False)

    def _on_job_info(self, record: Any) -> None:
        if self.dry:
            return
        self._jobs[record.jobid] = (record.rule_name, dict(record.wildcards or {}))
        if self.course:
            self.course.start(record.jobid, record.rule_name)
        if record.rule_name == LAST:
            for rule in self.sentences:
                self._end_stage(rule)

    def _on_job_finished(self, record: Any) -> None:
        if self.course is None or record.job_id not in self._jobs:
            return
        rule, wildcards = self._jobs[record.job_id]
        self.course.finish(record.job_id)
        self._ended.add(rule)
        done, of = self.course.place(rule)
        if rule in self.details and self.screen is None and not self.quiet:
            now = time.monotonic()
            if now - self._last_line >= EVERY or done == of:
                self._last_line = now
                self.say(self._job_line(rule, wildcards))
        if done >= of:
            self._end_stage(rule)

    def _job_line(self, rule: str, wildcards: Mapping[str, str]) -> str:
        assert self.course is not None
        done, of = self.course.place(rule)
        detail = readable(lambda: self.details[rule](wildcards))
        whole = f"{100 * self.course.share():.0f} % of the run done"
        return f"{rule} {done}/{of} {subject(wildcards)}: {detail}; {whole}, {left(self.course)}"

    def _end_stage(self, rule: str) -> None:
        if rule in self.sentences and rule in self._ended and rule not in self._said and not self.quiet:
            self._said.add(rule)
            self.say(f"✓ {readable(self.sentences[rule])}")

    def _on_job_error(self, record: Any) -> None:
        if self.course:
            self.course.fail(record.jobid)
        if self._stopped:
            return
        logs = [str(path) for path in record.log]
        reason = failure(logs) or str(record.rule_msg or "").strip()
        if FULL.search(reason):
            self._full = self._full_disk()
        what = f"{record.rule_name} {subject(self._jobs.get(record.jobid, ('', {}))[1])}".strip()
        log = f" (log: {logs[0]})" if logs else ""
        self._failures.append(f"{what} failed: {reason or 'it left no message'}{log}")
        self.say(f"✗ {self._failures[-1]}")

    def _on_group_error(self, record: Any) -> None:
        """Say nothing: each of the group's jobs has an event of its own."""

    def _on_message(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if STOPPED.search(text):
            self._stopped = True
            self._say_last("stopping the running jobs" if "Terminating" in text else f"stopped; {AGAIN}")
        elif UNFINISHED in text:
            self._say_last(self._last_words())
        elif record.levelno >= logging.ERROR and FULL.search(text):
            self._say_last(f"error: {self._full_disk()}")
        elif text.startswith("Building DAG of jobs"):
            if not self.dry and not self.quiet:
                self.say(f"run {self.run}: working out what is to be done")
        elif not NOISE.match(text):
            ours = OURS.search(text) if record.levelno >= logging.ERROR else None
            if ours:
                self._say_last(f"error: {ours['message']}")
            else:
                self.say(ABOVE.sub("", text), timed=False)

    def _full_disk(self) -> str:
        return full_disk(self.folder, self.course.needs if self.course else 0.0)

    def _say_last(self, what: str) -> None:
        """Take the bars away and write a line of ours."""
        self.end()
        self.say(f"xlmerge: {what}", timed=False)

    def _last_words(self) -> str:
        """Return what a run that failed ends with: why, where to look, what to do."""
        if self._stopped:
            return f"stopped; {AGAIN}, and an interrupted training goes on where it was"
        whole = f"; Snakemake's own log: {self.log_files[0]}" if self.log_files else ""
        if self._full:
            return f"error: {self._full}{whole}"
        if not self._failures:
            return f"error: a job failed{whole}"
        count = f"{len(self._failures)} jobs failed, the first: " if len(self._failures) > 1 else ""
        return f"error: {count}{self._failures[0].rstrip('.')}. Put it right and {AGAIN}{whole}"

    def _bar(self) -> Content:
        """Return what is shown while jobs run."""
        assert self.course is not None
        running = []
        for job, seconds in self.course.running:
            rule, wildcards = self._jobs[job]
            done, of = self.course.place(rule)
            running.append(f"{rule} {subject(wildcards)}".strip() + f" ({done} of {of} done), for {clock(seconds)}")
        return self.course.share(), left(self.course), running


class Screen:
    """A bar and the running jobs under lines that stay; what jobs write themselves goes above it, too."""

    def __init__(self, stream: IO[str], content: Callable[[], Content], shows: Callable[[], bool]) -> None:
        from rich.console import Console as Terminal
        from rich.live import Live

        self.content, self.shows, self.began = content, shows, time.monotonic()
        stream.flush()
        self._descriptors = [d for d in {1, 2, stream.fileno()} if os.isatty(d)]
        self._saved = {descriptor: os.dup(descriptor) for descriptor in self._descriptors}
        file = open(self._saved[stream.fileno()], "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        self.terminal = Terminal(file=file, force_terminal=True, highlight=False)
        self.live = Live(
            get_renderable=self._render,
            console=self.terminal,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        source, target = os.pipe()
        for descriptor in self._descriptors:
            os.dup2(target, descriptor)  # jobs inherit it
        os.close(target)
        threading.Thread(target=self._pass_on, args=(source,), daemon=True).start()
        self._fit()
        self.live.start()

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        from rich.text import Text

        self.terminal.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        """Take the bar away and give the stream back."""
        self.live.stop()
        self.terminal.file.flush()
        for descriptor, saved in self._saved.items():
            os.dup2(saved, descriptor)
            os.close(saved)

    def _fit(self) -> None:
        """Keep to the size that the window has now; rich looks at descriptors that are no terminal any more."""
        from rich.console import ConsoleDimensions

        columns, lines = os.get_terminal_size(self.terminal.file.fileno())
        self.terminal.size = ConsoleDimensions(columns, lines)

    def _pass_on(self, source: int) -> None:
        """Write what others wrote, line by line; a run that is being stopped has nothing more to say."""
        with open(source, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if self.shows():
                    self.say(line.rstrip("\n"))

    def _render(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        self._fit()
        share, rest, running = self.content()
        room = max(1, self.terminal.height - 6)
        more = [f"and {len(running) - room} more"] if len(running) > room else []
        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        taken = f"{100 * share:.0f} %  running for {clock(time.monotonic() - self.began)}, {rest}"
        grid.add_row(ProgressBar(total=1.0, completed=share), taken)
        lines = [Text(f"  {job}", no_wrap=True, overflow="ellipsis") for job in [*running[:room], *more]]
        return Group(grid, *lines)


def take_over(workflow: Any, log: logging.Logger) -> Console | None:
    """Put a console in the place of Snakemake's handler for the terminal; None where the user asked for another log.

    That is in jobs, with ``--verbose``, ``--quiet all``, ``--debug-dag`` or a logger plugin.
    """
    settings = workflow.output_settings
    quiet = {str(getattr(kind, "name", kind)).lower() for kind in settings.quiet or ()}
    other = settings.verbose or settings.debug_dag or settings.log_handler_settings or "all" in quiet
    if other or not workflow.is_main_process:
        return None
    replaced = [h for h in log.handlers if h.name == "DefaultStreamHandler" or isinstance(h, Console)]
    for handler in replaced:
        log.removeHandler(handler)
    stream = sys.stdout if settings.stdout else sys.stderr
    console = Console(stream, dry=settings.dryrun, quiet="progress" in quiet)
    log.addHandler(console)
    return console


def is_terminal(stream: IO[str]) -> bool:
    """Tell whether a person looks at a stream, on something that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def subject(wildcards: Mapping[str, str]) -> str:
    """Return what a job is about: its locale or target, and what else tells it from others."""
    first = [wildcards[name] for name in SUBJECTS if name in wildcards]
    rest = [f"seed {wildcards['seed']}"] if wildcards.get("seed", "0") != "0" else []
    return " ".join([*first, *rest])


def clock(seconds: float) -> str:
    """Return a time as ``2:05`` or ``1:02:05``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def left(course: Course) -> str:
    """Return how long the rest of a run takes."""
    seconds = course.seconds_left()
    return "time left not known yet" if seconds is None else f"about {duration(seconds)} left"


def readable(sentence: Callable[[], str]) -> str:
    """Return a sentence; a key number that cannot be read must not end the run that it is about."""
    try:
        return sentence()
    except (OSError, ValueError, KeyError) as error:
        return f"done, but its key number cannot be read: {error!r}"


def failure(logs: Iterable[str]) -> str:
    """Return why a job failed: our message in its log, else the log's last line."""
    for log in map(Path, logs):
        with contextlib.suppress(OSError):
            text = log.read_text(encoding="utf-8", errors="replace").strip()
            ours = re.search(r"^xlmerge: error in \w+: (.*)", text, re.DOTALL | re.MULTILINE)
            if ours:
                return ours[1].strip()
            if text:
                return text.splitlines()[-1]
    return ""


def full_disk(folder: str, needs: float) -> str:
    """Return which disk is full, and how much a run needs that writes into `folder`."""
    places = {"results": Path(folder).absolute(), "temporary files": Path(tempfile.gettempdir())}
    free = {name: (shutil.disk_usage(_existing(place)).free, place) for name, place in places.items()}
    name, (space, place) = min(free.items(), key=lambda item: item[1][0])
    named = f"{place} ({name}) has {size(space)} left"
    wanted = f"; the run needs about {size(needs)} in all" if needs else ""
    return f"the disk is full: {named}{wanted}. Make room and {AGAIN}"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
