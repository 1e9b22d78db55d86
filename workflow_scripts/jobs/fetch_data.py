"""The data of a provider that has to fetch them first: once per run, where Snakemake runs."""

from pathlib import Path
from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of_files, write_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.core.messages import say


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write a folder of files, all locales that the source has, and its digest; return the provider's facts."""
    provider = registry.load("data provider", settings["data"]["provider"])
    with atomic_path(outputs["folder"]) as folder:
        facts: dict[str, Any] = provider.fetch(provider.Settings(**settings["data"]), settings["labels"], folder)
    missing = f" (it has no {', '.join(facts['missing'])})" if facts["missing"] else ""
    say(f"fetched {len(facts['rows'])} locales from {facts['origin']}{missing}")
    write_digest(outputs["digest"], digest_of_files(*sorted(Path(outputs["folder"]).rglob("*.jsonl"))))
    return facts


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
