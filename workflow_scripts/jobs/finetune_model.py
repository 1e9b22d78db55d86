"""One locale's model: a lookup if this very training was done before, else a fine-tune."""

from functools import partial
from typing import Any

from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.core.lookup import deliver
from workflow_scripts.models.train_job import FILES, train, training_entry


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the task vector, its digest and the training history."""
    data = {name: read_digest(inputs[f"{name}_digest"]) for name in ("base", "train", "validation")}
    entry = training_entry(settings, data)
    deliver(entry, FILES, outputs, partial(train, inputs, settings, entry, threads))


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
