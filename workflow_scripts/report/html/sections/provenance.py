"""Provenance: configuration, code, data and versions behind the results."""

import json
from typing import Any

from markupsafe import Markup

from workflow_scripts.report.html.blocks import Folded, Prose, Section, Table, text_cell
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.results.run_results import mixed_versions

FILES = {
    "report.md": "the same as text",
    "cross_lingual_summary.csv": "one row per target: baselines and merges with intervals",
    "merge_details.csv": "one row per merge: sources, weights, baselines, effects",
    "selection_diagnostics.csv": "the sources’ ranks by transfer and by similarity",
    "statistics.csv": "every comparison with test and interval",
    "claims.csv": "the claims ledger",
    "recommendations.csv": "what to do for each target",
    "predictor.json": "what the predictor learnt, and every policy’s regret",
    "../nxn/evaluation_matrix.csv": "the NxN matrix; rows = models",
    "../selection/plan.json": "sources and weights of every merge",
    "../experiments.db": "everything as SQLite",
}


def section(data: RunData) -> Section:
    """Return the section on provenance."""
    results = data.results
    files = Table(
        "Files beside this one",
        ["file", "what is in it"],
        [[text_cell(Markup('<a href="{0}">{0}</a>').format(p)), text_cell(t)] for p, t in FILES.items()],
    )
    config = json.dumps({"run": results.settings, "experiments": results.experiments}, indent=1, ensure_ascii=False)
    return Section(
        "provenance",
        "How it was made",
        [
            files,
            _codes(data),
            Folded("Inputs by digest", [_inputs(data)]),
            Folded("Configuration with all defaults", [Prose(Markup("<pre>{}</pre>").format(config))]),
        ],
    )


def _codes(data: RunData) -> Table:
    stages: dict[str, dict[str, Any]] = {}
    for sidecar in data.sidecars:
        stage = stages.setdefault(sidecar["rule"], {"codes": set(), "versions": sidecar["versions"]})
        stage["codes"].add(sidecar["code"])
    versions = ", ".join(f"{k} {v}" for k, v in data.sidecars[0]["versions"].items())
    rows = [[text_cell(rule), text_cell(", ".join(sorted(s["codes"])))] for rule, s in stages.items()]
    if mixed := mixed_versions(data.sidecars):
        versions += f". Results were made with different versions: {mixed}"
    return Table(f"Code state by stage (hash of the code that the stage runs). Versions: {versions}.",
                 ["stage", "code"], rows)  # fmt: skip


def _inputs(data: RunData) -> Table:
    digests = {
        tuple(text.split(" = ", 1))
        for sidecar in data.sidecars
        for value in sidecar["inputs"].values()
        for text in ([value] if isinstance(value, str) else value)
        if " = " in text
    }
    rows = [[text_cell(path), text_cell(digest)] for path, digest in sorted(digests)]
    return Table("Content digests of the inputs of all stages", ["file", "digest"], rows, filtered=True)
