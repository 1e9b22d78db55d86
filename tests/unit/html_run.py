"""A small finished run for the HTML report, made by hand: three locales, two experiments, two seeds."""

from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.report.html.predictions import Predictions
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.results.run_results import Results
from workflow_scripts.results.tables import merge_details

LOCALES = ["de-DE", "ar-SA", "th-TH"]
LABELS = ["on", "off", "dim"]
SEEDS = [0, 1]
LANGUAGES = {
    "de-DE": {"language": "German", "family": "Indo-European", "genus": "Germanic", "script": "Latn"},
    "ar-SA": {"language": "Arabic", "family": "Afro-Asiatic", "genus": "Semitic", "script": "Arab"},
    "th-TH": {"language": "Thai", "family": "Tai-Kadai", "genus": "Kam-Tai", "script": "Thai"},
}
EXPERIMENTS = {"average_NXN_k2_exc": "labelled validation", "ties_REAL_k2_exc": "labelled training"}
SYSTEMS = {  # of each target: accuracy, tier, model
    "self": (0.9, "labelled training", "own"),
    "best_zero_shot": (0.7, "oracle", "best"),
    "best_zero_shot_val": (0.6, "labelled validation", "fair"),
    "mean_zero_shot": (0.55, "none", ""),
    "average_all": (0.62, "none", ""),
}
OF_SOURCES = ("best_source", "best_source_val", "source_mean", "top1", "ensemble_weighted_soft")
MERGES = {"average_NXN_k2_exc": 0.65, "ties_REAL_k2_exc": 0.72}
TEXTS = {"de-DE": "mach <b>Licht</b> an & aus", "ar-SA": "أشعل الضوء", "th-TH": "เปิดไฟ"}


def run_data(**changes: Any) -> RunData:
    """Return the run; keyword arguments replace its parts."""
    results = Results(
        systems=pd.DataFrame(_systems()),
        plan=_plan(),
        experiments={name: _settings(name) for name in EXPERIMENTS},
        matrix=_matrix(),
        matrix_validation=_matrix(),
        languages={k: v | {"region": "somewhere", "resource_level": "high"} for k, v in LANGUAGES.items()},
        settings={"run": "small", "measures": {"NXN": "nxn"}, "locales": LOCALES, "seeds": SEEDS, "labels": LABELS, "pivot": "en-US",
                  "base": {"name": "tiny"}},
    )  # fmt: skip
    sidecar = {
        "rule": "finetune", "settings": {}, "code": "abc", "inputs": {"train": "train.digest = 123"},
        "versions": {"python": "3.11"}, "cost": {"wall_seconds": 3.0, "peak_memory_mb": 100.0},
    }  # fmt: skip
    parts: dict[str, Any] = {
        "results": results, "details": merge_details(results),
        "diagnostics": _diagnostics(), "similarities": {"NXN": _matrix()}, "cells": _cells(), "examples": examples(),
        "predictions": {t: predictions() for t in LOCALES}, "sidecars": [sidecar],
        "disk": {"models": [10**6], "rows": [10], "merges": [10]},
        "statistics": pd.DataFrame(columns=["baseline", "experiment", "target", "system", "family", "tier"]),
        "claims": pd.DataFrame(), "recommendations": pd.DataFrame(columns=["target"]), "predictor": {},
    }  # fmt: skip
    return RunData(**{**parts, **changes})


def examples() -> dict[str, pd.DataFrame]:
    """Return six test sentences per locale, two per intent, in three clusters."""
    return {
        locale: pd.DataFrame(
            {"id": list("abcdef"), "text": [f"{text} {i}" for i in range(6)], "label": [0, 0, 1, 1, 2, 2],
             "cluster": ["p", "p", "q", "q", "r", "r"]}
        )
        for locale, text in TEXTS.items()
    }  # fmt: skip


def predictions() -> Predictions:
    """Return predictions: the merge fixes items 0 and 1 (one cluster), and breaks item 2 in one of two seeds."""
    return Predictions(
        own=np.array([[0, 0, 1, 1, 2, 2]] * 2),
        single=np.array([[1, 2, 1, 1, 2, 2]] * 2),
        merge=np.array([[0, 0, 0, 1, 2, 2], [0, 0, 1, 1, 2, 2]]),
    )


def _settings(name: str) -> dict[str, Any]:
    method, measure = name.split("_")[:2]
    return {
        "method": method, "similarity_type": measure, "selector": "top_k", "num_languages": 2, "include_target": False,
        "compatibility": False, "method_parameters": {}, "selector_parameters": {}, "target_similarity": None,
    }  # fmt: skip


def _systems() -> list[dict[str, Any]]:
    rows = []
    for target in LOCALES:
        source = next(name for name in LOCALES if name != target)
        for seed in [*SEEDS, "mean"]:
            for system, (accuracy, tier, model) in SYSTEMS.items():
                rows.append(_row(target, seed, "", system, accuracy, tier, source if model else ""))
            for name, accuracy in MERGES.items():
                rows.append(_row(target, seed, name, "merge", accuracy, EXPERIMENTS[name]))
                rows += [_row(target, seed, name, system, 0.6, EXPERIMENTS[name]) for system in OF_SOURCES]
    return rows


def _row(target: str, seed: object, name: str, system: str, accuracy: float, tier: str, model: str = "") -> dict:
    return {
        "target": target, "experiment": name, "system": system, "tier": tier, "seed": seed, "accuracy": accuracy,
        "n": 6, "clusters": 3, "n_effective": 3.0, "low": accuracy - 0.2, "high": min(1, accuracy + 0.2),
        "macro_f1": accuracy, "nll": 1.0, "ece": 0.1, "accuracy_validation": accuracy, "model": model or None,
    }  # fmt: skip


def _plan() -> dict[str, Any]:
    return {
        f"{name}/{target}/{seed}": {
            "experiment": name, "target": target, "seed": seed, "tier": tier, "selection_tier": tier, "warnings": [],
            "effective_sources": 2.0,
            "sources": [{"locale": s, "weight": 0.5, "similarity": 0.5} for s in LOCALES if s != target],
        }
        for name, tier in EXPERIMENTS.items() for target in LOCALES for seed in SEEDS
    }  # fmt: skip


def _matrix() -> pd.DataFrame:
    return pd.DataFrame(np.where(np.eye(3, dtype=bool), 0.9, 0.6), index=LOCALES, columns=LOCALES)


def _cells() -> pd.DataFrame:
    matrix = _matrix()
    index = pd.MultiIndex.from_product([LOCALES, LOCALES], names=["model", "locale"])
    accuracy = [matrix.loc[key] for key in index]
    return pd.DataFrame(
        {"accuracy": accuracy, "low": np.array(accuracy) - 0.2, "high": 0.95, "n": 6, "clusters": 3}, index=index
    )


def _diagnostics() -> pd.DataFrame:
    row = {
        "seed": 0, "similarity_type": "NXN", "selector": "top_k", "num_languages": 2, "include_target": False,
        "compatibility": False, "selector_parameters": "", "tier": "labelled validation", "overlap": 2, "chosen": 2,
        "mean_rank_by_transfer": 1.5, "chance_rank": 1.5, "transfer": 0.6, "best_transfer": 0.6,
    }  # fmt: skip
    return pd.DataFrame([{"target": target, **row} for target in LOCALES])
