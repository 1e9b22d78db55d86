"""One merged model as a Hugging Face folder."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.checkpoints.conversion import export
from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.merging.merge_cells import MergeJob
from workflow_scripts.selection.plan import entry_key
from workflow_scripts.selection.systems import BEST_SINGLE, BEST_SOURCE, MERGE, SELF


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Merge again and write the folder."""
    job, name = MergeJob(inputs, settings), settings["experiment"]
    plan = json.loads(Path(inputs["plan"]).read_text(encoding="utf-8"))
    entry = plan[entry_key(name, settings["target"], settings["seed"])]
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder) / "merged.safetensors"
        job.merge(name, merged)
        export(merged, inputs["base"], outputs["folder"], _card(entry, inputs, settings, job))


def _card(entry: dict[str, Any], inputs: dict[str, Any], settings: dict[str, Any], job: MergeJob) -> dict[str, Any]:
    slice_ = settings["merges"][settings["experiment"]]
    files = dict(zip(slice_["sources"], job.made_of.of_sources("model_digests", slice_), strict=True))
    table = pd.read_csv(inputs["evaluation"], keep_default_na=False)
    own = table[
        (table["seed"].astype(str) == str(settings["seed"])) & table["experiment"].isin([entry["experiment"], ""])
    ]
    scores = own[own["system"].isin([MERGE, BEST_SOURCE, BEST_SINGLE, SELF])]
    return {
        "name": settings["name"],
        "what": f"Merged for {entry['target']} by `{entry['method']}`, without further training.",
        "facts": {
            "method": entry["method"],
            **entry["parameters"],
            "supervision": entry["tier"],
            "identity": job.identities[settings["experiment"]],
        },
        "sources": [{**s, "digest": read_digest(files[s["locale"]])} for s in entry["sources"]],
        "scores": [
            {
                "system": row.system,
                "accuracy": f"{100 * float(row.accuracy):.1f} %",
                "95 % interval": f"{100 * float(row.low):.1f} – {100 * float(row.high):.1f} %",
                "n (clusters)": f"{row.n} ({row.clusters})",
            }
            for row in scores.itertuples()
        ],
        "base_digest": read_digest(inputs["base_digest"]),
        **{key: settings[key] for key in ("run", "base")},
    }


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
