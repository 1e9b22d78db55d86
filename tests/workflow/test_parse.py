"""Parsing the Snakefile is cheap: every cluster job does it again."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, preset, python, snakemake, succeeded


def test_a_dry_run_imports_neither_torch_nor_pandas(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "-n", "--snakefile", str(ROOT / "Snakefile")]
    done = subprocess.run(
        [*command, "--directory", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "workflow_scripts.study.study" in imported, "the import log was not understood"
    # pandas is imported by Snakemake itself (its Slurm plugin); tests/unit/test_config.py looks at the project alone
    assert not imported & {"torch", "transformers", "datasets", "scipy", "sklearn", "matplotlib"}


def test_no_results_appear_in_a_dry_run(tmp_path: Path) -> None:
    succeeded(snakemake(tmp_path, preset("tiny"), "-n"))
    assert not (tmp_path / "results").exists()


COUNT_TIMERS = """
import sys
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler

def wake(self, delay):
    print("a timer wakes the scheduler", file=sys.stderr)

assert callable(JobScheduler._schedule_reevalutation)
JobScheduler._schedule_reevalutation = wake
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("limit", "woken"), [((), False), (("--max-jobs-per-timespan", "50/1s"), True)])
def test_no_timer_wakes_the_scheduler_unless_the_user_limits_the_rate(
    tmp_path: Path, limit: tuple[str, ...], woken: bool
) -> None:
    target = ["results/tiny/data/en-US/test.parquet", "--configfile", str(ROOT / "presets" / "tiny.yaml")]
    options = ["--cores", "1", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path), *limit]
    script = tmp_path / "count_timers.py"
    script.write_text(COUNT_TIMERS, encoding="utf-8")
    said = succeeded(python([str(script), *target, *options], tmp_path))
    assert ("a timer wakes the scheduler" in said) == woken
