"""The figures of the report."""

import importlib
from pathlib import Path
from typing import Any

from workflow_scripts.core.job import run_job
from workflow_scripts.report.figures.style import save
from workflow_scripts.results.run_results import read_results


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Draw the figures; a module of the same name draws each."""
    results = read_results(inputs, settings)
    for path in outputs["figures"]:
        module = importlib.import_module(f"workflow_scripts.report.figures.{Path(path).stem}")
        save(module.draw(results), path)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
