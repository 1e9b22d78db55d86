"""What the terminal shows of a run: its lines, its bar, its last words."""

import errno
import logging
import os
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.terminal import COLUMNS, LINES, Terminal
from workflow_scripts.running import console as console_module
from workflow_scripts.running.console import Console, clock, failure, subject, take_over
from workflow_scripts.running.course import Course, amounts, downloads


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def course_of_three(expected: dict[str, float] | None = None, places: float = 1) -> tuple[Course, Clock]:
    passing = Clock()
    priced = {"finetune": 60.0, "examples": 1.0, "merge": 20.0} if expected is None else expected
    jobs = {"examples": 9, "finetune": 3, "merge": 3}
    return Course(jobs, priced, lambda _: places, needs=2e6, clock=passing), passing


def work(course: Course, passing: Clock, job: int, rule: str, seconds: float) -> None:
    course.start(job, rule)
    passing.now += seconds
    course.finish(job)


def test_percentages_go_by_cost_and_not_by_number_of_jobs() -> None:
    course, passing = course_of_three()
    assert course.share() == 0
    for job in range(9):
        work(course, passing, job, "examples", 1)
    assert course.share() == pytest.approx(9 / 249), "nine of fifteen jobs, but next to nothing of the work"
    course.start(20, "finetune")
    passing.now += 30
    assert course.share() == pytest.approx(39 / 249), "a running job counts in part"
    passing.now += 1000
    assert course.share() == pytest.approx((9 + 0.95 * 60) / 249), "but not as a finished one"
    course.finish(20)
    for job, rule in [(21, "finetune"), (22, "finetune"), (23, "merge"), (24, "merge"), (25, "merge")]:
        work(course, passing, job, rule, 1)
    assert course.share() == 1 and course.seconds_left() == 0


def test_the_time_left_learns_from_what_jobs_took() -> None:
    course, passing = course_of_three()
    assert course.seconds_left() == 9 + 180 + 60
    work(course, passing, 1, "finetune", 120)
    assert course.seconds_left() == 9 + 2 * 120 + 3 * 40, "the machine is half as fast, for merges as well"
    found, passing = course_of_three()
    work(found, passing, 1, "finetune", 3)
    assert found.seconds_left() == pytest.approx(9 + 2 * 3 + 3), "what is looked up takes next to nothing"
    side_by_side, _ = course_of_three(places=2)
    assert side_by_side.seconds_left() == (9 + 180 + 60) / 2


def test_more_jobs_than_announced_and_jobs_without_a_price() -> None:
    course, _ = course_of_three({})
    assert course.seconds_left() is None and course.share() == 0
    assert "time unknown" in amounts(course, 2)
    for job in range(4):
        course.start(job, "merge")
    assert course.place("merge") == (0, 4), "a checkpoint brings jobs that nobody announced"
    course.fail(0)
    assert [job for job, _ in course.running] == [1, 2, 3]


def test_what_a_run_takes_is_said_in_a_line() -> None:
    assert amounts(course_of_three()[0], 2) == "15 jobs, about 4 min on 2 cores, 2 MB new on disk"
    fetching = Course({"base": 2}, {"base": 30.0}, lambda _: 1, needs=2e9, fetches=91e6)
    assert amounts(fetching, 0) == "2 jobs, about 1 min, 91 MB to download, 2.0 GB new on disk"
    one = Course({"merge": 1}, {"merge": 3.0}, lambda _: 1)
    assert amounts(one, 1) == "1 job, about 3 s on 1 core, 0 MB new on disk"


@pytest.mark.parametrize(
    ("base", "cached", "megabytes"),
    [
        ("bundled_encoder", "", 91),
        ("bundled_encoder", "bundled_encoder-v1", 0),
        ("tiny_encoder", "", 0),
        ("xlm-roberta-base", "", 1114),
        ("xlm-roberta-base", "hub/models--xlm-roberta-base", 0),
        ("nobody/knows", "", 0),
    ],
)
def test_a_download_is_announced_unless_it_is_there(
    base: str, cached: str, megabytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLMERGE_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    (tmp_path / cached).mkdir(parents=True, exist_ok=True)
    run = SimpleNamespace(base=SimpleNamespace(name=base), data=SimpleNamespace(provider="massive"))
    assert downloads(SimpleNamespace(run=run), {"base"}) == pytest.approx(megabytes * 1e6, rel=1e-3)
    assert downloads(SimpleNamespace(run=run), {"fetch"}) == 40e6 and downloads(SimpleNamespace(run=run), ()) == 0


def follow(course: Course, **options: Any) -> tuple[Console, StringIO, Any]:
    stream = StringIO()
    shown = Console(stream, **options)
    shown.run = "tiny"
    shown.details = {"finetune": lambda w: f"{w['locale']} learned", "merge": lambda _: "5 merges"}
    shown.sentences = {
        "finetune": lambda: "training: 3 of 3 models",
        "merge": lambda: "merging: done",
        "row": lambda: "no",
    }

    def event(name: str = "", text: str = "", level: int = logging.INFO, **fields: Any) -> list[str]:
        record = logging.makeLogRecord({"msg": text, "levelno": level, **fields} | ({"event": name} if name else {}))
        shown.emit(record)
        lines = stream.getvalue().splitlines()
        stream.truncate(0)
        stream.seek(0)
        return [line[10:] if line[2:3] == line[5:6] == ":" else line for line in lines]

    shown.follow(course, amounts(course, 2))
    assert event() == (["run tiny: 15 jobs, about 4 min on 2 cores, 2 MB new on disk"] if not shown.quiet else [])
    return shown, stream, event


def train(event: Any, passing: Clock, job: int, locale: str, seconds: float) -> list[str]:
    event("job_info", jobid=job, rule_name="finetune", wildcards={"locale": locale, "seed": "0"})
    passing.now += seconds
    return event("job_finished", job_id=job)


def test_a_finished_training_is_a_line_and_its_stage_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "EVERY", 0.0)
    course, passing = course_of_three()
    _, _, event = follow(course)
    assert train(event, passing, 1, "de-DE", 60) == [
        "finetune 1/3 de-DE: de-DE learned; 24 % of the run done, about 3 min left"
    ]
    train(event, passing, 2, "en-US", 60)
    *_, stage = train(event, passing, 3, "es-ES", 60)
    assert stage == "✓ training: 3 of 3 models"
    assert event("job_info", jobid=9, rule_name="write_report", wildcards={}) == [], "told once; nothing of `row`"


def test_lines_are_some_seconds_apart_but_a_stage_that_ends_is_told() -> None:
    course, passing = course_of_three()
    _, _, event = follow(course)
    said = [
        line for job, name in enumerate(("de-DE", "en-US", "es-ES")) for line in train(event, passing, job, name, 60)
    ]
    assert [line.split(":")[0] for line in said] == ["finetune 1/3 de-DE", "finetune 3/3 es-ES", "✓ training"]


def test_a_stage_with_less_to_do_than_announced_is_told_when_the_report_starts() -> None:
    course, passing = course_of_three()
    _, _, event = follow(course)
    train(event, passing, 1, "de-DE", 60)
    assert event("job_info", jobid=9, rule_name="write_report", wildcards={}) == ["✓ training: 3 of 3 models"]


def test_a_key_number_that_cannot_be_read_does_not_end_the_run() -> None:
    course, passing = course_of_three()
    shown, _, event = follow(course)
    shown.details = {"finetune": lambda _: Path("missing.json").read_text()}
    (line,) = train(event, passing, 1, "de-DE", 60)
    assert "its key number cannot be read: FileNotFoundError" in line


@pytest.mark.parametrize(
    "noise",
    [
        "Updating checkpoint dependencies.",
        "Assuming unrestricted shared filesystem usage.",
        "Select jobs to execute...",
        "Complete log(s): /x/.snakemake/log/1.log",
        "DAG of jobs will be updated after completion.",
        'RuleException:\nCalledProcessError in file "/x/rules/finetune.smk", line 37:\nCommand returned non-zero exit status 1.',
    ],
)
def test_snakemakes_noise_is_not_shown(noise: str) -> None:
    _, _, event = follow(course_of_three()[0])
    assert event(text=noise) == []


def test_what_is_not_noise_is_shown_and_quiet_leaves_errors() -> None:
    _, _, event = follow(course_of_three()[0], quiet=True)
    assert event(text="Building DAG of jobs...") == []
    assert event(text="Nothing to be done (all requested files are present and up to date).")
    assert event(text="look out", level=logging.WARNING) == ["look out"]
    parsing = (
        'WorkflowError in file "/x/rules/common.smk", line 42:\nxlmerge: no such key\n  File "/x/head.py", line 3, in f'
    )
    assert event(text=parsing, level=logging.ERROR) == ["xlmerge: error: no such key"]


def fail(event: Any, log: Path, text: str, job: int = 1) -> list[str]:
    log.write_text(text)
    event("job_info", jobid=job, rule_name="finetune", wildcards={"locale": "de-DE", "seed": "0"})
    error = {"jobid": job, "rule_name": "finetune", "log": [str(log)], "rule_msg": None, "level": logging.ERROR}
    return event("job_error", **error)


def test_a_failed_run_ends_with_one_line_that_says_why_where_and_what_to_do(tmp_path: Path) -> None:
    shown, _, event = follow(course_of_three()[0])
    shown.log_files = [".snakemake/log/1.log"]
    log = tmp_path / "a.log"
    said = fail(event, log, "loading\nxlmerge: error in finetune: it learned nothing: lower learning_rate\n")
    assert said == [f"✗ finetune de-DE failed: it learned nothing: lower learning_rate (log: {log})"]
    assert event(text="Exiting because a job execution failed. Look above", level=logging.ERROR) == []
    (last,) = event(text="WorkflowError:\nAt least one job did not complete successfully.", level=logging.ERROR)
    assert last == (
        f"xlmerge: error: finetune de-DE failed: it learned nothing: lower learning_rate (log: {log}). Put it right and "
        "run the same command again: what is done is kept; Snakemake's own log: .snakemake/log/1.log"
    )
    fail(event, log, "Traceback\nKeyError: 'x'", job=2)
    (last,) = event(text="At least one job did not complete successfully.", level=logging.ERROR)
    assert "2 jobs failed, the first: finetune de-DE failed" in last


def test_a_full_disk_is_named_with_what_is_left_and_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    shown, _, event = follow(course_of_three()[0])
    shown.folder = str(tmp_path)
    fail(event, tmp_path / "a.log", f"Traceback\nOSError: [Errno {errno.ENOSPC}] No space left on device")
    (last,) = event(text="At least one job did not complete successfully.", level=logging.ERROR)
    assert last.startswith(
        f"xlmerge: error: the disk is full: {tmp_path} (results) has 0 MB left; the run needs about 2 MB"
    )
    assert "Make room and run the same command again" in last
    (head,) = event(text="Traceback …\nOSError: [Errno 28] No space left on device", level=logging.ERROR)
    assert head.startswith("xlmerge: error: the disk is full") and "Traceback" not in head


def test_who_stops_a_run_is_told_how_it_goes_on(tmp_path: Path) -> None:
    _, _, event = follow(course_of_three()[0])
    assert event(text="Terminating processes on user request, this might take some time.") == [
        "xlmerge: stopping the running jobs"
    ]
    assert fail(event, tmp_path / "a.log", "KeyboardInterrupt") == [], "no failure: it was asked for"
    (last,) = event(text="At least one job did not complete successfully.", level=logging.ERROR)
    assert last.startswith("xlmerge: stopped; run the same command again: what is done is kept")


def test_a_dry_run_has_its_table_once() -> None:
    stream = StringIO()
    shown = Console(stream, dry=True)
    for _ in range(2):
        shown.emit(logging.makeLogRecord({"msg": "Job stats:\nall 1", "event": "run_info", "levelno": logging.INFO}))
    assert stream.getvalue() == "Job stats:\nall 1\n"


def test_times_and_subjects() -> None:
    assert [clock(s) for s in (5, 65, 3725)] == ["0:05", "1:05", "1:02:05"]
    assert subject({"locale": "de-DE", "seed": "0"}) == "de-DE" and subject({"target": "x", "seed": "2"}) == "x seed 2"
    assert failure(["no/such/file"]) == ""


class Log(logging.Logger):
    """A logger as Snakemake sets it up."""

    def __init__(self) -> None:
        super().__init__("test")
        handler = logging.NullHandler()
        handler.name = "DefaultStreamHandler"
        self.addHandler(handler)


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, True),
        ({"quiet": {"rules"}}, True),
        ({"verbose": True}, False),
        ({"quiet": {"all"}}, False),
        ({"log_handler_settings": {"other": None}}, False),
    ],
)
def test_snakemakes_own_log_is_shown_to_who_asks_for_it(changed: dict[str, Any], taken: bool) -> None:
    settings = {"verbose": False, "debug_dag": False, "log_handler_settings": {}, "quiet": None, "stdout": False}
    workflow = SimpleNamespace(
        output_settings=SimpleNamespace(**{**settings, "dryrun": False, **changed}), is_main_process=True
    )
    log = Log()
    for _ in range(2):  # a Snakefile that is parsed again takes the place of its former self
        assert (take_over(workflow, log) is not None) == taken
    assert [isinstance(handler, Console) for handler in log.handlers] == [taken]


def wait_for(text: str, terminal: Terminal) -> list[str]:
    for _ in range(100):
        if any(text in line for line in terminal.seen()):
            break
        time.sleep(0.05)
    return terminal.seen()


def test_a_bar_leaves_nothing_behind_and_what_jobs_write_stands_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    terminal = Terminal()
    course, passing = course_of_three()
    with open(terminal.follower, "w", buffering=1, encoding="utf-8") as stream:
        shown = Console(stream)
        shown.run = "tiny"
        shown.follow(course, amounts(course, 2))
        for job in range(30):
            started = {"event": "job_info", "jobid": job, "rule_name": "finetune", "wildcards": {"locale": f"l{job}"}}
            shown.emit(logging.makeLogRecord(started))
        passing.now += 65
        os.write(stream.fileno(), b"xlmerge: warning: a job says something\n")
        during = wait_for("and 22 more", terminal)
        shown.say("✓ training: 30 of 30 models")
        shown.end()
        stream.write("the end\n")
        after = wait_for("the end", terminal)
    takes = "run tiny: 15 jobs, about 4 min on 2 cores, 2 MB new on disk"
    assert len(during) <= LINES and during[:2] == [takes, "xlmerge: warning: a job says something"]
    bar = next(line for line in during if "%" in line)
    assert "91 %  running for 0:0" in bar and "left" in bar and len(bar) <= COLUMNS
    assert "  finetune l0 (0 of 30 done), for 1:05" in during and "  and 22 more" in during
    assert after == [takes, "xlmerge: warning: a job says something", "✓ training: 30 of 30 models", "the end"]
