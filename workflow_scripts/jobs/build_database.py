"""The run's results as one SQLite file."""

from typing import Any

import pandas as pd

from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.job import run_job
from workflow_scripts.results import tables
from workflow_scripts.results.database import build_database
from workflow_scripts.results.run_results import read_results


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the database."""
    results = read_results(inputs, settings)
    models, merges = (list(map(tuple, settings[key])) for key in ("models", "merges"))
    digests = {model: read_digest(path) for model, path in by_wildcards(inputs["model_digests"], models).items()}
    build_database(
        outputs["database"],
        results,
        tables.merge_details(results),
        pd.read_csv(inputs["cells"]),
        {**settings["database"], "digests": digests},
        {path: read_json(path) for path in inputs["sidecars"]},
        {model: read_json(path) for model, path in by_wildcards(inputs["trainings"], models).items()},
        {merge: read_json(path) for merge, path in by_wildcards(inputs["facts"], merges).items()},
    )


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
