"""A checkout of the workflow from which tests submit to a cluster, as a user does from a clone."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.one_node_slurm import OneNodeSlurm
from tests.conftest import ROOT

PARTS = ("Snakefile", "config.yaml", "presets", "profiles", "rules", "envs", "slurm", "workflow_scripts")
FASTER = ("--slurm-init-seconds-before-status-checks", "6")  # jobs take seconds here, hours elsewhere


class Checkout:
    """The parts of the repository that a run needs, in a folder of its own, and the results of its runs."""

    def __init__(
        self, folder: Path, cluster: OneNodeSlurm, config: str = "presets/tiny.yaml", run: str = "tiny"
    ) -> None:
        self.folder, self.cluster, self.config = folder, cluster, config
        self.results = folder / "results" / run
        self.output = folder / "snakemake.out"

    @classmethod
    def fresh(cls, folder: Path, cluster: OneNodeSlurm, **run: str) -> "Checkout":
        """Return a checkout in which nothing has run."""
        for name in PARTS:
            source, target = ROOT / name, folder / name
            if source.is_symlink():
                target.symlink_to(source.readlink())
            elif source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        return cls(folder, cluster, **run)

    def copy(self, folder: Path) -> "Checkout":
        """Return a copy with all results and records."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Checkout(folder, self.cluster)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the documented command; its output goes to a file."""
        words = ["--profile", "slurm", "--configfile", self.config, *FASTER, *arguments]
        with open(self.output, "ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *words],
                cwd=self.folder,
                env={**os.environ, **self.cluster.environment, "COLUMNS": "200"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, *arguments: str, seconds: float = 400) -> str:
        """Run the documented command to its end, which must be a success; return what it said."""
        return self.finish(self.start(*arguments), seconds)

    def finish(self, head: subprocess.Popen[bytes], seconds: float = 400) -> str:
        """Wait for a started command, which must end with success; return what was said so far."""
        try:
            code = head.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            head.kill()
            raise AssertionError(f"not finished after {seconds:g} s\n{self.said()}\n{self.cluster.jobs()}") from None
        assert code == 0, self.said()
        return self.said()

    def said(self) -> str:
        """Return the end of Snakemake's output and of the logs that Slurm kept, which are those of failed jobs."""
        logs = [p.read_text(errors="replace")[-3000:] for p in self.folder.glob(".snakemake/slurm_logs/**/*.log")]
        return "\n".join([self.output.read_text(errors="replace")[-6000:], *logs[-3:]])

    def jobs(self, rule: str = "", locale: str = "") -> list[dict[str, str]]:
        """Return the Slurm jobs of this checkout in the order of their submission."""
        found = [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.folder)]
        start = f"rule_{rule}_wildcards_{locale}" if rule else "rule_"
        return sorted((j for j in found if j["Comment"].startswith(start)), key=lambda j: int(j["JobId"]))

    def runs(self, rule: str, locale: str, attempt: int = 1) -> bool:
        """Tell whether the given attempt at a job has begun its task."""
        jobs = self.jobs(rule, locale)
        return len(jobs) >= attempt and any(
            e.job == jobs[attempt - 1]["JobId"] and e.step.isdigit() for e in self.cluster.events()
        )

    def started(self, rule: str, locale: str) -> str:
        """Wait until a job's first attempt runs; return its Slurm id."""
        self.until(lambda: self.runs(rule, locale), f"{rule} {locale} runs")
        return self.jobs(rule, locale)[0]["JobId"]

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
        """Wait for something to happen."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:g} s in vain until {what}\n{self.said()}"
            time.sleep(0.02)

    def hold_training(self, job: str) -> int:
        """Stop a training, the only one that runs, after its first checkpoint; return its process."""
        process = 0

        def trains() -> bool:
            nonlocal process
            process = training_process(job)
            return process > 0

        states = self.results / "cache" / "training"
        self.until(trains, f"job {job} trains")
        self.until(
            lambda: any(states.glob("*/attempt-*/checkpoint-*/trainer_state.json")), "a training has a checkpoint"
        )
        os.kill(process, signal.SIGSTOP)
        assert any(states.glob("*/attempt-*/checkpoint-*/trainer_state.json")), (
            "the training was over before it was stopped"
        )
        return process


def training_process(job: str) -> int:
    """Return the process in which a Slurm job trains, or 0."""
    mark = f"SLURM_JOB_ID={job}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if command[-2].endswith(b"finetune_model.py") and mark in (entry / "environ").read_bytes().split(b"\0"):
                return int(entry.name)
    return 0


def kill(head: subprocess.Popen[bytes]) -> None:
    """End Snakemake without giving it a chance to tidy up."""
    head.send_signal(signal.SIGKILL)
    head.wait()


def outcome(results: Path) -> dict[str, bytes]:
    """Return the content of everything that a run makes and that must not depend on where and how it was made.

    The sidecars, the report and the database state times and hosts, the cache and the logs are means.
    """
    files = [p for p in results.rglob("*") if p.is_file() and not {"cache", "logs"} & set(p.relative_to(results).parts)]
    sidecars = {p for p in files if p.suffix == ".json" and b'"wall_seconds"' in p.read_bytes()}
    reports = {results / "report" / f"report.{kind}" for kind in ("md", "html")}
    stated = sidecars | reports | {results / "experiments.db", results / ".lock"}
    return {str(p.relative_to(results)): p.read_bytes() for p in sorted(set(files) - stated)}
