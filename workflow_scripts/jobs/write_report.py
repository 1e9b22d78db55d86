"""The report: tables, figures, Markdown."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.core.atomic import write_text
from workflow_scripts.core.job import run_job
from workflow_scripts.core.matrices import read_matrix, write_table
from workflow_scripts.core.messages import warn
from workflow_scripts.findings.claims.ledger import ledger_rows
from workflow_scripts.report.advice import report_section
from workflow_scripts.report.markdown import cost_facts, render_report
from workflow_scripts.report.significance import significance
from workflow_scripts.results import tables
from workflow_scripts.results.run_results import Results, mixed_versions, read_results
from workflow_scripts.results.selection_diagnostics import selection_diagnostics


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Write the tables and the Markdown."""
    results = read_results(inputs, settings)
    details = tables.merge_details(results)
    diagnostics = _diagnostics(results, inputs, settings)
    write_table(tables.cross_lingual_summary(results), outputs["summary"])
    write_table(details, outputs["details"])
    write_table(diagnostics, outputs["diagnostics"])
    sidecars = [read_json(p) for p in inputs["sidecars"]]
    observed: dict[str, float] = next((s["observed_share"] for s in sidecars if "observed_share" in s), {})
    facts = {
        "cost": cost_facts(sidecars),
        "versions": ", ".join(f"{k} {v}" for k, v in sidecars[0]["versions"].items()),
        "mixed": mixed_versions(sidecars),
        "observed": ", ".join(f"{locale} {share:.2f}" for locale, share in observed.items()),
    }
    if facts["mixed"]:
        warn(f"results of this run were made with different versions of libraries: {facts['mixed']}")
    findings = {
        "significance": significance(pd.read_csv(inputs["comparisons"]), read_json(inputs["comparison_facts"])),
        "claims": ledger_rows(pd.read_csv(inputs["claims"])),
        "advice": report_section(pd.read_csv(inputs["recommendations"]), read_json(inputs["predictor"])),
    }
    write_text(outputs["markdown"], render_report(results, details, diagnostics, findings, facts))


def read_json(path: str) -> Any:
    """Return the content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _diagnostics(results: Results, inputs: dict[str, Any], settings: dict[str, Any]) -> pd.DataFrame:
    seeds = results.settings["seeds"]
    transfer = {seed: read_matrix(path) for seed, path in zip(seeds, inputs["seed_matrices"], strict=True)}
    keys = [(name, seed) for name in settings["measures"] for seed in seeds]
    similarities = {key: read_matrix(path) for key, path in zip(keys, inputs["similarities"], strict=True)}
    return selection_diagnostics(results.plan.values(), results.experiments, transfer, similarities)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
