"""One locale's model as a Hugging Face folder."""

from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.checkpoints.cards import card_of_model
from workflow_scripts.checkpoints.conversion import export
from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.digests import read_digest, verify_file
from workflow_scripts.core.job import run_job


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the folder."""
    model, sidecar, cells = Path(inputs["model"]), read_json(inputs["info"]), pd.read_csv(inputs["cells"])
    digest, base = verify_file(model, inputs["model_digest"]), read_digest(inputs["base_digest"])
    export(model, inputs["base"], outputs["folder"], card_of_model(sidecar, digest, cells, settings, base))


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
