"""The process that Snakemake runs in: its lock, its timer, its last words, and what a batch system said in its log."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError

from tests.conftest import ROOT
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.messages import SHOWN, batch_system_errors
from workflow_scripts.running import head

REFUSED = """\
[Sun Nov 22 06:07:12 2026]
Error in rule finetune:
    message: SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: none
sbatch: error: Batch job submission failed: Invalid partition name specified'.
    sbatch call:
        sbatch --parsable --comment rule_finetune_wildcards_{locale}_0 --wrap="snakemake message: x"
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: 1
"""
KILLED = """\
Error in rule row:
    message: SLURM-job '{job}' failed, SLURM status is: 'OUT_OF_MEMORY'.
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: 2
"""
LOCAL = """\
Error in rule merge:
    message: None
    jobid: 3
    output: results/demo/merge
"""


def found(tmp_path, *parts):
    (tmp_path / "log").write_text("Building DAG of jobs...\n" + "".join(parts) + "Elapsed time: 0:00:15\n")
    return batch_system_errors([tmp_path / "log"])


def test_a_refusal_is_said_once_and_whole(tmp_path):
    texts = found(tmp_path, REFUSED.format(locale="de-DE"), LOCAL, REFUSED.format(locale="en-US"))
    assert texts == [
        "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: none\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified'."
    ]


def test_failures_of_different_jobs_are_told_apart(tmp_path):
    texts = found(tmp_path, KILLED.format(job=7), KILLED.format(job=8))
    assert texts == [f"SLURM-job '{job}' failed, SLURM status is: 'OUT_OF_MEMORY'." for job in (7, 8)]


def test_of_many_the_first_are_shown(tmp_path):
    texts = found(tmp_path, *(KILLED.format(job=job) for job in range(SHOWN + 5)))
    assert len(texts) == SHOWN + 1 and texts[-1] == "5 more messages are in Snakemake's log"


def test_local_failures_have_no_message(tmp_path):
    assert found(tmp_path, LOCAL) == []


def study(folder):
    paths = SimpleNamespace(lock=str(folder / "run/.lock"), report=str(folder / "report"))
    return SimpleNamespace(paths=paths, run=SimpleNamespace(run="demo"))


HOLD = """
import sys
from pathlib import Path
from tests.unit.test_head import study
from workflow_scripts.running.head import hold_run_lock
hold_run_lock(study(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_is_locked_as_long_as_its_process_lives(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(XlmergeError, match="another Snakemake is working on run 'demo'"):
            head.hold_run_lock(study(tmp_path))
    finally:
        other.kill()
        other.wait()
    head.hold_run_lock(study(tmp_path))


def test_results_that_cannot_be_written_are_an_error_in_words(tmp_path):
    place = study(tmp_path)
    (tmp_path / "run").write_text("a file where a folder must be")
    with pytest.raises(XlmergeError, match=r"cannot be written to .*make it writable"):
        head.hold_run_lock(place)


def test_where_nothing_can_be_locked_the_user_is_warned(tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError("no locks here")

    monkeypatch.setattr(head.fcntl, "flock", refuse)
    head.hold_run_lock(study(tmp_path))
    assert "start no second Snakemake on this run" in capsys.readouterr().err


def test_our_errors_are_shown_as_snakemakes():
    with pytest.raises(WorkflowError, match="xlmerge: no such key"), head.clean_errors():
        raise XlmergeError("no such key")


@pytest.mark.parametrize(("limit", "kept"), [((100, 1), False), ((50, 1), True), (None, True)])
def test_only_a_limit_that_the_user_set_is_kept(limit, kept):
    given = limit and SimpleNamespace(max_jobs=limit[0], timespan=limit[1])
    workflow = SimpleNamespace(
        scheduling_settings=SimpleNamespace(max_jobs_per_timespan=given),
        scheduler=SimpleNamespace(job_rate_limiter="limiter"),
    )
    head.wake_when_jobs_end(workflow)
    assert (workflow.scheduler.job_rate_limiter == "limiter") == kept


def test_a_finished_run_says_what_it_found_and_where_the_report_is(tmp_path, capsys):
    head.print_summary(study(tmp_path))
    assert capsys.readouterr().out == ""
    (tmp_path / "report").mkdir()
    (tmp_path / "report/report.html").touch()
    (tmp_path / "report/summary.txt").write_text("merging pays")
    head.print_summary(study(tmp_path))
    assert capsys.readouterr().out == f"\nmerging pays\nThe report: {tmp_path}/report/report.html\n"


def test_a_path_works_where_the_user_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    assert head.shown(Path("results/report.html")) == "results/report.html"
    monkeypatch.setenv("PWD", "/")  # Snakemake was sent here by --directory
    assert head.shown(Path("results/report.html")) == f"{tmp_path}/results/report.html"
