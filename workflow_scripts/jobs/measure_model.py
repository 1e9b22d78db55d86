"""What a merge method wants to have measured on one source model, with one locale's sentences."""

from typing import Any

from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import read_digest, write_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.core.lookup import Entry, deliver

FILES = {"values": "values.safetensors", "digest": "values.digest"}


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the measured values and their digest; a lookup if this very measurement was made before."""
    made_of = {name: read_digest(inputs[f"{name}_digest"]) for name in ("base", "model", "table")}
    keys = ("measurement", "parameters", "locale", "seed", "text", "split", "max_length", "code")
    made_of |= {key: settings[key] for key in keys}
    entry = Entry(settings["cache"], "measurements", made_of, settings["measurement"])

    def make(watch: Stopwatch) -> None:
        from workflow_scripts.merging.measuring import measure
        from workflow_scripts.models.checkpoints import save_task_vector

        values, metadata = measure(inputs, settings, threads)
        with entry.stored(watch.cost()) as folder:
            folder.mkdir()
            values_file, digest_file = (folder / name for name in FILES.values())
            write_digest(digest_file, save_task_vector(values, values_file, "float32", metadata))

    deliver(entry, FILES, outputs, make)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
