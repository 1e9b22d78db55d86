"""One locale's model as a Hugging Face folder."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.checkpoints.conversion import export
from workflow_scripts.core.digests import read_digest, verify_file
from workflow_scripts.core.job import run_job


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the folder."""
    model = Path(inputs["model"])
    digest = verify_file(model, inputs["model_digest"])
    sidecar = json.loads(Path(inputs["info"]).read_text(encoding="utf-8"))
    cells = pd.read_csv(inputs["cells"])
    own = (cells["model"] == settings["locale"]) & (cells["seed"] == settings["seed"]) & (cells["split"] == "test")
    known = sidecar["settings"]
    card = {
        "name": settings["name"],
        "what": f"Fine-tuned on {settings['locale']}.",
        "facts": {"task vector": digest, **(known["finetune"] if "finetune" in known else {"source": known["source"]})},
        "sources": [],
        "scores": [
            {"evaluated on": row.locale, "accuracy": f"{100 * row.accuracy:.1f} %", "n": row.n}
            for row in cells[own].itertuples()
        ],
        "base_digest": read_digest(inputs["base_digest"]),
        **{key: settings[key] for key in ("run", "base")},
    }
    export(model, inputs["base"], outputs["folder"], card)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
