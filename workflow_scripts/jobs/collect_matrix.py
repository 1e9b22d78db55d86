"""The NxN matrices from all rows."""

from typing import Any

import pandas as pd

from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import accuracy_matrix, write_matrix, write_table


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write all cells as one table, and a matrix per split: the mean over seeds, and one per seed."""
    cells = pd.concat([pd.read_csv(path) for path in inputs["cells"]], ignore_index=True)
    write_table(cells, outputs["cells"])
    for split in ("test", "validation"):
        write_matrix(accuracy_matrix(cells, split, settings["locales"]), outputs[split])
        for seed, path in by_wildcards(outputs[f"{split}_by_seed"], settings["seeds"]).items():
            write_matrix(accuracy_matrix(cells, split, settings["locales"], seed), path)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
