"""Parsing the Snakefile is cheap: every cluster job does it again."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def test_a_dry_run_imports_neither_torch_nor_pandas(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "-n", "--snakefile", str(ROOT / "Snakefile")]
    done = subprocess.run(
        [*command, "--directory", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "workflow_scripts.core.study" in imported, "the import log was not understood"
    # pandas is imported by Snakemake itself (its Slurm plugin); tests/unit/test_config.py looks at the project alone
    assert not imported & {"torch", "transformers", "datasets", "scipy", "sklearn", "matplotlib"}


def test_no_results_appear_in_a_dry_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", str(ROOT / "Snakefile"), "--directory"]
    subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, check=True)
    assert not (tmp_path / "results").exists()
