"""Accuracy of every system on one target, from stored logits alone."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.analysis.matrices import write_table
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.target_table import target_rows


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write one row per system, experiment and seed."""
    plan = json.loads(Path(inputs["plan"]).read_text(encoding="utf-8"))
    write_table(pd.DataFrame(target_rows(inputs, settings, plan)), outputs["table"])


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
