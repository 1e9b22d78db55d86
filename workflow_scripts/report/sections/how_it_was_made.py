"""What the results took, and the configuration, code, data and versions behind them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workflow_scripts.core.words import number
from workflow_scripts.report.blocks import Folded, Prose, Section, Table, Verbatim, table
from workflow_scripts.report.marks import Code, Link
from workflow_scripts.report.run_data import RunData

STORED = {"models": "task vectors of the models", "rows": "logits of models", "merges": "logits of merges"}
FILES = {
    "report.html": "this report, interactive, with a page per target",
    "report.md": "this report as text",
    "summary.txt": "the answer in a dozen lines",
    "recommendations.csv": "one row per target and level of supervision: what to do, how sure that is, and why",
    "predictor.json": "what predicts where merging helps, how well, and every policy’s regret",
    "cross_lingual_summary.csv": "one row per target: baselines and merges with intervals",
    "merge_details.csv": "one row per merge: sources, weights, similarities, baselines, effects",
    "selection_diagnostics.csv": "one row per target and way of selecting: ranks by transfer and similarity",
    "statistics.csv": "every comparison: effect, interval, test, raw and corrected p, verdict",
    "statistics.json": "what else is to be known of the comparisons",
    "claims.csv": "claims of earlier work, and what this run says of each",
    "../nxn/evaluation_matrix.csv": "accuracies on test data: rows = models, columns = evaluation locales",
    "../nxn/evaluation_matrix_validation.csv": "the same on validation data",
    "../selection/plan.json": "sources and weights of every merge",
    "../experiments.db": "everything as SQLite",
}


def cost_section(data: RunData) -> Section:
    """Return the section on time, memory and disk."""
    time = table(
        "Time and memory by stage",
        costs(data.sidecars),
        {
            "stage": "stage",
            "jobs": ("jobs", number),
            "wall time, sum": ("seconds", _seconds),
            "longest": ("longest", _seconds),
            "peak memory": ("megabytes", lambda value: f"{number(value)} MB"),
        },
    )
    disk = table(
        "Disk",
        [{"what": title, "sizes": data.disk[name]} for name, title in STORED.items()],
        {
            "what": "what",
            "files": (lambda row: len(row["sizes"]), number),
            "size": (lambda row: sum(row["sizes"]) / 1e6, lambda value: f"{number(value, 1)} MB"),
        },
    )
    note = "What making the results took: one that was looked up counts with what it took when it was made."
    return Section("cost", "What it cost", [Prose(note), time, disk])


def costs(sidecars: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return ``jobs``, ``seconds``, ``longest``, ``megabytes`` per stage; what was looked up counts with its making."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for sidecar in sidecars:
        stages.setdefault(sidecar["rule"], []).append(sidecar.get("making_cost") or sidecar["cost"])
    return [
        {
            "stage": rule,
            "jobs": len(making),
            "seconds": sum(cost["wall_seconds"] for cost in making),
            "longest": max(cost["wall_seconds"] for cost in making),
            "megabytes": max(cost["peak_memory_mb"] for cost in making),
        }
        for rule, making in stages.items()
    ]


def _seconds(value: float) -> str:
    return f"{number(value)} s"


def provenance_section(data: RunData) -> Section:
    """Return the section on files, code, inputs and configuration."""
    results = data.results
    files = [{"file": Link(path, path), "content": content} for path, content in FILES.items()]
    files.append({"file": Code("../evaluation/{target}.csv"), "content": "every system on one target"})
    config = json.dumps({"run": results.settings, "experiments": results.experiments}, indent=1, ensure_ascii=False)
    return Section(
        "provenance",
        "How it was made",
        [
            table("Files", files, {"file": "file", "what is in it": "content"}),
            _codes(data),
            Folded("Inputs by digest", [_inputs(data)], file="report.html"),
            Folded("Configuration with all defaults", [Verbatim(config)], file="report.html"),
        ],
    )


def _codes(data: RunData) -> Table:
    codes: dict[str, set[str]] = {}
    for sidecar in data.sidecars:
        codes.setdefault(sidecar["rule"], set()).add(sidecar["code"])
    versions = ", ".join(f"{k} {v}" for k, v in data.sidecars[0]["versions"].items())
    if data.mixed_versions:
        versions += f". Results were made with different versions: {data.mixed_versions}"
    return table(
        f"Code state by stage (hash of the code that the stage runs). Versions: {versions}.",
        [{"stage": rule, "code": ", ".join(sorted(states))} for rule, states in codes.items()],
        {"stage": "stage", "code": "code"},
    )


def _inputs(data: RunData) -> Table:
    digests = {
        tuple(text.split(" = ", 1))
        for sidecar in data.sidecars
        for value in sidecar["inputs"].values()
        for text in ([value] if isinstance(value, str) else value)
        if " = " in text
    }
    columns = {"file": lambda pair: pair[0], "digest": lambda pair: pair[1]}
    return table("Content digests of the inputs of all stages", sorted(digests), columns)
