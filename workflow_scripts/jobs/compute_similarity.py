"""One similarity measure for one seed, from language codes or the validation matrix."""

from typing import Any

from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.similarity.context import MeasureContext, write_similarity


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the matrix (rows = target, columns = source)."""
    locales = settings["locales"]
    matrices = [read_matrix(path).loc[locales, locales].to_numpy() for path in inputs["validation"]]  # one or none
    context = MeasureContext(locales, settings["languages"], matrices[0] if matrices else None, settings["seed"])
    return write_similarity(context, outputs, settings)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
