"""Examples of one locale and split, in the contract of all stages."""

from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.core.messages import warn
from workflow_scripts.data import examples


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the table, its digest, and facts for the sidecar: counts, duplicates that were dropped, missing labels."""
    chosen = registry.load("data provider", settings["data"]["provider"]).Settings(**settings["data"])
    locale, split, labels = settings["locale"], settings["split"], settings["labels"]
    held_out = [examples.read_examples(p) for p in inputs.get("held_out", [])]
    table, dropped = examples.make_examples(chosen, locale, split, labels, held_out)
    missing = examples.missing_labels(table, labels)
    examples.write_examples(table, outputs["table"])
    write_digest(outputs["digest"], examples.examples_digest(table))
    counts = {name: int((table["label"] == i).sum()) for i, name in enumerate(labels)}
    if missing and split == "train":
        listed = "\n".join(f"  {count:6d}  {name}" for name, count in counts.items())
        warn(f"{locale} has no training example of {', '.join(missing)}; its model cannot learn it\n{listed}")
    clusters = int(table["cluster"].nunique())
    return {"n": len(table), "dropped": dropped, "clusters": clusters, "per_label": counts, "missing": missing}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
