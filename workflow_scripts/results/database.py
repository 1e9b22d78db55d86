"""``experiments.db``: a run's results as SQLite; the same files always give the same content."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.results.run_results import Results
from workflow_scripts.results.tables import listed
from workflow_scripts.selection.systems import headline

Row = dict[str, Any]
COPIED = (
    "sources", "weights", "accuracy", "n", "clusters", "low", "high", "accuracy_validation", "macro_f1", "nll", "ece",
    "effect_best", "effect_mean", "worth_in_labels", "worth_bound",
)  # fmt: skip
VIEWS = {
    "best_method_per_target": """
        SELECT locale, seed, experiment, method, similarity_type, selector, num_languages, include_target, supervision,
               accuracy_validation, accuracy, accuracy - best_zero_shot_val AS vs_best_zero_shot_val
        FROM (SELECT *, ROW_NUMBER() OVER (
                  PARTITION BY locale, seed ORDER BY accuracy_validation DESC, experiment, ablation_name) AS place
              FROM experiments)
        WHERE place = 1 ORDER BY locale, seed""",
    "merging_effect_by_k": """
        SELECT num_languages, include_target, COUNT(*) AS merges, COUNT(DISTINCT locale) AS targets,
               AVG(effect_best) AS effect_best, AVG(effect_mean) AS effect_mean,
               AVG(accuracy - best_zero_shot_val) AS vs_best_zero_shot_val
        FROM distinct_merges GROUP BY num_languages, include_target ORDER BY num_languages, include_target""",
    "merging_effect_by_method": """
        SELECT method, COUNT(*) AS merges, AVG(accuracy) AS accuracy, AVG(effect_best) AS effect_best,
               AVG(accuracy - best_zero_shot_val) AS vs_best_zero_shot_val
        FROM distinct_merges GROUP BY method ORDER BY accuracy DESC""",
    "zero_shot": """
        SELECT model, seed, locale, accuracy, n FROM nxn_cells WHERE split = 'test' AND model <> locale""",
}
DISTINCT = """
    SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY experiment, locale, seed ORDER BY ablation_name) AS copy
                   FROM experiments WHERE NOT only_for_tuning) WHERE copy = 1"""


def build_database(
    path: str | Path,
    results: Results,
    details: pd.DataFrame,
    cells: pd.DataFrame,
    run: Mapping[str, Any],
    sidecars: Mapping[str, Mapping[str, Any]],
    trainings: Mapping[tuple[str, int], Mapping[str, Any]],
    facts: Mapping[tuple[str, int], Mapping[str, Any]],
) -> None:
    """Write the database, whole or not at all.

    Parameters
    ----------
    path : path
    results : Results
    details : DataFrame
        `tables.merge_details`.
    cells : DataFrame
        One row per model, seed, locale and split.
    run : mapping
        ``ablations``: experiment → names of its blocks; ``base``; ``results_dir``; ``digests``: (locale, seed) → digest
        of the model.
    sidecars : mapping
        Path of a sidecar → its content.
    trainings : mapping
        (locale, seed) → training history.
    facts : mapping
        (target, seed) → facts of its merges, by experiment.
    """
    merged_at = {
        (s["settings"]["target"], s["settings"]["seed"]): _times(s) for s in sidecars.values() if s["rule"] == "merge"
    }
    tables = {
        "experiments": list(_experiments(results, details, run, merged_at, facts)),
        "nxn_cells": cells.to_dict("records"),
        "models": list(_models(run, trainings)),
        "selections": list(_selections(results)),
        "jobs": [_job(path, sidecars[path]) for path in sorted(sidecars)],
    }
    with atomic_path(path) as temporary, closing(sqlite3.connect(temporary)) as connection:
        for name, rows in tables.items():
            pd.DataFrame(rows).to_sql(name, connection, index=False)
        connection.execute(f"CREATE VIEW distinct_merges AS {DISTINCT}")
        for name, query in VIEWS.items():
            connection.execute(f"CREATE VIEW {name} AS {query}")
        connection.commit()


def _experiments(
    results: Results,
    details: pd.DataFrame,
    run: Mapping[str, Any],
    merged_at: Mapping[tuple[str, int], tuple[str, str]],
    facts: Mapping[tuple[str, int], Mapping[str, Any]],
) -> Iterator[Row]:
    for merge in details.to_dict("records"):
        name, place = str(merge["experiment"]), (merge["target"], merge["seed"])
        settings, (started, completed) = results.settings_of(name), merged_at[place]
        for ablation in run["ablations"][name]:
            yield {
                "ablation_name": ablation,
                "experiment": name,
                "only_for_tuning": name in results.members,
                "started_at": started,
                "completed_at": completed,
                "locale": merge["target"],
                "seed": merge["seed"],
                "method": settings["method"],
                "similarity_type": settings["similarity_type"],
                "selector": settings["selector"],
                "selector_parameters": listed(settings["selector_parameters"]),
                "compatibility": int(settings["compatibility"]),
                "num_languages": merge["num_sources"],
                "include_target": int(settings["include_target"]),
                "target_similarity": settings["target_similarity"],
                "model_family": run["base"],
                "supervision": merge["tier"],
                **{k: merge[k] for k in COPIED},
                **{row.column: merge[row.column] for row in headline()},
                "status": "completed",
                "error_message": None,
                "merge_digest": facts[place][results.stored_name(name, *place)]["identity"],
                "results_dir": run["results_dir"],
                "config_json": json.dumps(settings, sort_keys=True, ensure_ascii=False),
                "notes": merge["warnings"],
            }


def _times(sidecar: Mapping[str, Any]) -> tuple[str, str]:
    started = datetime.fromisoformat(sidecar["cost"]["started_at"])
    return started.isoformat(), (started + timedelta(seconds=round(sidecar["cost"]["wall_seconds"]))).isoformat()


def _models(run: Mapping[str, Any], trainings: Mapping[tuple[str, int], Mapping[str, Any]]) -> Iterator[Row]:
    for (locale, seed), history in sorted(trainings.items()):
        yield {
            "locale": locale,
            "seed": seed,
            "model_family": run["base"],
            "digest": run["digests"][locale, seed],
            "best_step": history.get("best_step"),
            "best_validation_accuracy": history.get("best_validation_accuracy"),
            "source": history.get("source"),
            "history_json": json.dumps(history, sort_keys=True),
        }


def _selections(results: Results) -> Iterator[Row]:
    for entry in results.plan.values():
        for place, source in enumerate(entry["sources"], 1):
            yield {
                "experiment": entry["experiment"],
                "target": entry["target"],
                "seed": entry["seed"],
                "place": place,
                "source": source["locale"],
                "weight": source["weight"],
                "similarity": source["similarity"],
            }


def _job(path: str, sidecar: Mapping[str, Any]) -> Row:
    cost = sidecar["cost"]
    kept = ("started_at", "wall_seconds", "cpu_seconds", "peak_memory_mb", "host", "gpu", "slurm_job")
    making = sidecar.get("making_cost") or cost
    return {
        "rule": sidecar["rule"],
        "sidecar": path,
        **{k: cost.get(k) for k in kept},
        "making_wall_seconds": making["wall_seconds"],
        "making_peak_memory_mb": making["peak_memory_mb"],
        "versions_json": json.dumps(sidecar["versions"], sort_keys=True),
    }
