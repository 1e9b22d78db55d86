"""Every system on one target, from stored logits alone: accuracies, and correctness per item."""

from typing import Any

import pandas as pd

from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import write_table
from workflow_scripts.data.examples import read_examples
from workflow_scripts.results.items import write_items
from workflow_scripts.results.target_table import table_rows, target_systems
from workflow_scripts.results.tuned_systems import read_entries


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write one row per system, experiment and seed, and the items behind it."""
    plan = read_entries(inputs)
    examples = read_examples(inputs["table"], inputs["table_digest"])
    systems = list(target_systems(inputs, settings, plan, examples))
    clusters = examples["cluster"].to_numpy()
    write_table(pd.DataFrame(table_rows(settings["target"], systems, clusters)), outputs["table"])
    rows = ((s.experiment, s.name, seed, s.correct) for seed, s in systems)
    write_items(outputs["correct"], examples["id"], clusters, rows)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
