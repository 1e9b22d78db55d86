"""One figure of the report."""

import importlib
from typing import Any

from workflow_scripts.analysis.figures.style import save
from workflow_scripts.analysis.results import read_results
from workflow_scripts.core.job import run_job


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Draw the figure that ``settings["figure"]`` names."""
    module = importlib.import_module(f"workflow_scripts.analysis.figures.{settings['figure']}")
    save(module.draw(read_results(inputs, settings)), outputs["figure"])


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
