"""Accuracy of every system on one target, from stored logits alone."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.analysis.matrices import read_matrix, write_table
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.target_table import target_table


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write one row per system, experiment and seed."""
    plan = json.loads(Path(inputs["plan"]).read_text(encoding="utf-8"))
    entries = [plan[key] for key in settings["entries"]]
    matrices = dict(zip(settings["seeds"], map(read_matrix, inputs["validation_matrices"]), strict=True))
    rows = target_table(inputs, settings, entries, matrices)
    write_table(pd.DataFrame(rows), outputs["table"])


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
