"""Examples of one locale and split, in the contract of all stages."""

from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.job import run_job
from workflow_scripts.data import examples
from workflow_scripts.data.look import facts_of, too_few_labels
from workflow_scripts.data.making import make_examples


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the table and its digest; return facts for the sidecar, from which the stage says what it found."""
    chosen = registry.load("data provider", settings["data"]["provider"]).Settings(**settings["data"])
    locale, split, labels = settings["locale"], settings["split"], settings["labels"]
    held_out = [examples.read_examples(p) for p in inputs.get("held_out", [])]
    made = make_examples(chosen, locale, split, labels, held_out)
    facts = facts_of(made.table, made.dropped, made.ignored, labels, settings["max_length"])
    if settings["trained"] and (problem := too_few_labels(locale, split, facts)):
        raise XlmergeError(problem)
    examples.write_examples(made.table, outputs["table"])
    write_digest(outputs["digest"], examples.examples_digest(made.table))
    return facts


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
