"""One merged model as a Hugging Face folder."""

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.checkpoints.cards import card_of_merge
from workflow_scripts.checkpoints.conversion import export
from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.job import run_job
from workflow_scripts.merging.merge_cells import MergeJob
from workflow_scripts.selection.plan import entry_key


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Merge again and write the folder."""
    job, name = MergeJob(inputs, settings), settings["experiment"]
    entry = read_json(inputs["plan"])[entry_key(name, settings["target"], settings["seed"])]
    systems = pd.read_csv(inputs["evaluation"], keep_default_na=False)
    card = card_of_merge(entry, job.identities[name], job.digests(name), systems, settings, job.base)
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder) / "merged.safetensors"
        job.merge(name, merged)
        export(merged, inputs["base"], outputs["folder"], card)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
