"""One similarity measure for one seed."""

from typing import Any

import pandas as pd

from workflow_scripts.analysis.matrices import read_matrix, write_matrix
from workflow_scripts.core import registry
from workflow_scripts.core.job import run_job
from workflow_scripts.core.signatures import plugin_function
from workflow_scripts.similarity.context import Context


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the matrix (rows = target, columns = source)."""
    module = registry.load("similarity measure", settings["measure"])
    locales = settings["locales"]
    validation = read_matrix(inputs["validation"]).loc[locales, locales].to_numpy() if "validation" in inputs else None
    context = Context(locales, settings["languages"], validation)
    values = plugin_function("similarity measure", settings["measure"])(context, **settings["parameters"])
    write_matrix(pd.DataFrame(values, locales, locales).rename_axis("target"), outputs["matrix"])
    return {"supervision": module.SUPERVISION, **(module.facts(context) if hasattr(module, "facts") else {})}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
