"""A small finished run for the report, made by hand: three locales, two experiments, two seeds."""

from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.report.run_data import Predictions, RunData
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
COMPARISON = {
    "family": "primary", "tier": "labelled validation", "contrast": "merge − best_zero_shot_val",
    "experiment": "chosen on validation", "system": "merge", "baseline": "best_zero_shot_val",
    "scope": "across targets", "target": "", "seeds": 2, "targets": 3, "n": 18, "clusters": 9, "effect": 0.05,
    "low": -0.02, "high": 0.12, "p": 0.25, "p_adjusted": 0.25, "correction": "Holm", "test": "sign-flip", "mde": 0.2,
    "seed_low": -0.01, "seed_high": 0.11, "family_low": float("nan"), "family_high": float("nan"), "improved": 3, "hurt": 0, "improved_chance_low": 0, "improved_chance_high": 3, "verdict": "too few targets to tell", "p_equivalent_adjusted": 0.5, "p_no_gain_adjusted": 0.4,
}  # fmt: skip
ADVICE = {
    "language": "German", "tier": "labelled validation", "primary": True, "advice": "merge",
    "what": "average_NXN_k2_exc", "expected_accuracy": 0.65, "low": 0.5, "high": 0.8, "confidence": "low",
    "gap_to_self": 0.25, "alternative": "ties_REAL_k2_exc", "difference": 0.05, "difference_low": -0.02,
    "difference_high": 0.12, "seeds": 2, "few_shot_accuracy": float("nan"), "reason": "The merge average_NXN_k2_exc reaches 65.0 %, the source th-TH 60.0 %.",
}  # fmt: skip
MEAN = {"value": 0.02, "low": None, "high": None}
TIER = {
    "targets": 3, "merges": 6, "descriptive": True, "single_source": ["best_zero_shot_val"],
    "statement": "`never merge` loses least: regret -1.0 points.",
    "policies": [
        {"policy": "never merge", "description": "the best single source", "merges": 0.0, "regret": MEAN,
         "less_than_never": MEAN, "more_than_best": MEAN},
    ],
    "predictor": {
        "leave_one_target_out": {"r2": -0.1, "mae": 0.05, "correlation": None}, "mean_effect": 0.05, "p": None,
        "penalty": 1.0, "features": [{"name": "k", "tier": "none", "coefficient": 0.01, "mean": 2, "sd": 1}],
    },
}  # fmt: skip
FACTS = {
    "not_formed": [{"contrast": "IncTar − self", "tier": "labelled training", "reason": "no experiment includes it"}],
    "best_on_test": {"merges": 2, "effect": 0.12, "chance": 0.04, "improved": 3, "improved_by_chance": [1, 3]},
}


def run_data(**changes: Any) -> RunData:
    """Return the run; keyword arguments replace its parts."""
    results = Results(
        systems=pd.DataFrame(_systems()),
        plan=_plan(),
        experiments={name: _settings(name) for name in EXPERIMENTS},
        matrix=_matrix(),
        matrix_validation=_matrix(),
        languages={k: v | {"region": "somewhere", "resource_level": "high"} for k, v in LANGUAGES.items()},
        settings={"run": "small", "margin": 0.02, "measures": {"NXN": "nxn"}, "locales": LOCALES, "seeds": SEEDS, "labels": LABELS, "pivot": "en-US",
                  "base": {"name": "tiny"}},
    )  # fmt: skip
    sidecar = {
        "rule": "finetune", "settings": {}, "code": "abc", "inputs": {"train": "train.digest = 123"},
        "versions": {"python": "3.11"}, "cost": {"wall_seconds": 3.0, "peak_memory_mb": 100.0},
    }  # fmt: skip
    parts: dict[str, Any] = {
        "results": results, "details": merge_details(results),
        "diagnostics": _diagnostics(), "similarities": {"NXN": _matrix()}, "cells": _cells(),
        "counted": counted(), "examples": examples(), "not_converged": {},
        "predictions": {t: predictions() for t in LOCALES}, "sidecars": [sidecar],
        "disk": {"models": [10**6], "rows": [10], "merges": [10]},
        "statistics": pd.DataFrame(columns=["contrast", "baseline", "experiment", "target", "system", "family", "tier", "scope"]),
        "comparison_facts": {},
        "claims": pd.DataFrame(), "recommendations": pd.DataFrame(columns=["target", "primary", "advice"]), "predictor": {},
    }  # fmt: skip
    return RunData(**{**parts, **changes})


def full_run(**changes: Any) -> RunData:
    """Return the run with statistics, advice, claims and a predictor; keyword arguments replace its parts."""
    exploratory = COMPARISON | {"family": "exploratory", "experiment": "average_NXN_k2_exc", "seed_low": float("nan")}
    on_target = exploratory | {"scope": "target"}
    claim = {"claim": "c", "statement": "Merging helps.", "verdict": "cannot tell", "effect": 0.05, "low": -0.1,
             "high": 0.2, "n": 3, "unit": "targets", "detail": "+5 points"}  # fmt: skip
    parts: dict[str, Any] = {
        "statistics": pd.DataFrame([COMPARISON, exploratory, *(on_target | {"target": t} for t in LOCALES)]),
        "comparison_facts": FACTS,
        "recommendations": pd.DataFrame([{"target": t} | ADVICE for t in LOCALES]),
        "claims": pd.DataFrame([claim]),
        "predictor": {"targets": 3, "tiers": {"labelled validation": TIER},
                      "criteria": {"fine_tune_below": 0.75, "seeds": 3, "targets": 20}},
    }  # fmt: skip
    return run_data(**{**parts, **changes})


def examples() -> dict[str, pd.DataFrame]:
    """Return six test sentences per locale, two per intent, in three clusters."""
    return {
        locale: pd.DataFrame(
            {"id": list("abcdef"), "text": [f"{text} {i}" for i in range(6)], "label": [0, 0, 1, 1, 2, 2],
             "cluster": ["p", "p", "q", "q", "r", "r"]}
        )
        for locale, text in TEXTS.items()
    }  # fmt: skip


def counted() -> dict[tuple[str, str], dict[str, Any]]:
    """Return what was counted of the data: German has lost a third of its training sentences, and some rows."""
    facts = {
        "n": 6, "dropped": 0, "ignored": {}, "clusters": 3, "per_label": dict.fromkeys(LABELS, 2), "missing": [], "long": 0,
        "max_length": 128,
    }  # fmt: skip
    same = {(locale, split): facts for locale in LOCALES for split in ("train", "validation", "test")}
    return same | {("de-DE", "train"): facts | {"dropped": 3, "ignored": {"held_out": 7}}}


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
        "rank_by_transfer": "1;2", "mean_rank_by_transfer": 1.5, "chance_rank": 1.5, "transfer": 0.6, "best_transfer": 0.6,
    }  # fmt: skip
    return pd.DataFrame([{"target": target, **row} for target in LOCALES])
