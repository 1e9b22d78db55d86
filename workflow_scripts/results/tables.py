"""The report's CSV tables."""

import itertools
import operator
from collections.abc import Mapping
from typing import Any

import pandas as pd

from workflow_scripts.results.labelled_curves import labelled_curves, price
from workflow_scripts.results.run_results import Results
from workflow_scripts.selection.systems import (
    BEST_SINGLE,
    BEST_SINGLE_ORACLE,
    BEST_SOURCE_ORACLE,
    ENSEMBLE,
    FEW_SHOT,
    JOINT,
    JOINT_ALL,
    MEAN_SINGLE,
    MEAN_SOURCE,
    MERGE,
    SELF,
    asked_by,
    baselines,
    column,
)

BESIDE_JOINT = (MERGE, ENSEMBLE, *asked_by(JOINT))
SELECTION = (
    "similarity_type", "selector", "selector_parameters", "num_languages", "include_target", "target_similarity",
    "compatibility",
)  # fmt: skip
GROUPS = ("family", "genus", "script", "resource_level")


def cross_lingual_summary(results: Results) -> pd.DataFrame:
    """Return one row per target: the language, n, every baseline and every merge with its interval.

    Columns ending in ``_oracle`` were chosen on the test data.
    """
    rows = []
    for target in results.targets:
        row: dict[str, Any] = {"target": target}
        row |= {k: results.languages[target][k] for k in ("language", *GROUPS)}
        row |= {key: int(results.baseline(SELF).loc[target, key]) for key in ("n", "clusters")}
        for name in (*(s.name for s in baselines("target")), *results.soups):
            row |= _with_interval(column(name), results.baseline(name), target)
        row["chosen_on_validation"] = results.chosen.get(target, "")
        row |= _with_interval("chosen_merge", results.of_experiment(row["chosen_on_validation"]), target)
        row["zs_self_ratio"] = row[column(BEST_SINGLE_ORACLE)] / row[SELF] if row[SELF] else float("nan")
        for name in results.experiments:
            row |= _with_interval(name, results.of_experiment(name), target)
        rows.append(row)
    return pd.DataFrame(rows)


def _with_interval(name: str, rows: pd.DataFrame, target: str) -> dict[str, float]:
    if target not in rows.index or pd.isna(rows.loc[target, "accuracy"]):
        return {name: float("nan"), f"{name}_low": float("nan"), f"{name}_high": float("nan")}
    accuracy, low, high = rows.loc[target, ["accuracy", "low", "high"]]
    return {name: accuracy, f"{name}_low": low, f"{name}_high": high}


def merge_details(results: Results) -> pd.DataFrame:
    """Return one row per merge: experiment, target and seed, its sources, its baselines and its effects."""
    numbered = results.systems[results.systems["seed"].astype(str) != "mean"].copy()
    numbered["seed"] = numbered["seed"].astype(int)
    accuracy = numbered.set_index(["target", "seed", "experiment", "system"])
    curves = {seed: labelled_curves(rows, FEW_SHOT) for seed, rows in numbered.groupby("seed")}
    rows = [_detail(entry, accuracy, results) | _worth(entry, accuracy, curves) for entry in results.plan.values()]
    return pd.DataFrame(rows).sort_values(["target", "experiment", "seed"], ignore_index=True)


def _detail(entry: dict[str, Any], systems: pd.DataFrame, results: Results) -> dict[str, Any]:
    target, seed, name = entry["target"], entry["seed"], entry["experiment"]
    settings = results.settings_of(name)
    merged = systems.loc[(target, seed, name, MERGE)]
    accuracy = float(merged["accuracy"])
    row: dict[str, Any] = {
        "experiment": name, "target": target, "seed": seed, "method": settings["method"],
        "parameters": listed(entry["parameters"] if "picked" in entry else settings["method_parameters"]),
        "picked": entry.get("picked", ""), "similarity": settings["similarity_type"],
        "selector": settings["selector"], "include_target": settings["include_target"], "tier": entry["tier"],
        "num_sources": len(entry["sources"]), "effective_sources": entry["effective_sources"],
        "sources": ";".join(s["locale"] for s in entry["sources"]),
        "weights": ";".join(f"{s['weight']:.4f}" for s in entry["sources"]),
        "similarities": ";".join(f"{s['similarity']:.4f}" for s in entry["sources"]),
        "sources_zero_shot": ";".join(f"{results.matrix.loc[s['locale'], target]:.4f}" for s in entry["sources"]),
        "n": int(merged["n"]), "clusters": int(merged["clusters"]), "n_effective": float(merged["n_effective"]),
        "accuracy": accuracy, "low": float(merged["low"]), "high": float(merged["high"]),
        "accuracy_validation": float(merged["accuracy_validation"]), "macro_f1": float(merged["macro_f1"]),
        "nll": float(merged["nll"]), "ece": float(merged["ece"]),
    }  # fmt: skip
    places = dict.fromkeys((*(s.name for s in baselines("target")), *results.soups), "")
    places |= {s.name: name for s in baselines("experiment")}
    beside = {b: _accuracy(systems, (target, seed, place, b)) for b, place in places.items()}
    row |= {column(b): value for b, value in beside.items()}
    row["effect_best"] = accuracy - beside[BEST_SOURCE_ORACLE]
    row["effect_mean"] = accuracy - beside[MEAN_SOURCE]
    row |= {f"vs_{column(b)}": accuracy - beside[b] for b in (BEST_SINGLE_ORACLE, BEST_SINGLE)}
    row["warnings"] = ";".join(entry["warnings"])
    return row


def _worth(
    entry: dict[str, Any], systems: pd.DataFrame, curves: Mapping[Any, dict[str, pd.DataFrame]]
) -> dict[str, Any]:
    """Return with how many labelled sentences the best source, fine-tuned on them, reaches a merge."""
    target, seed = entry["target"], entry["seed"]
    found = price(curves[seed].get(target), _accuracy(systems, (target, seed, entry["experiment"], MERGE)))
    return {"worth_in_labels": found.sentences, "worth_bound": found.bound}


def _accuracy(systems: pd.DataFrame, key: tuple[str, int, str, str]) -> float:
    return float(systems.loc[key, "accuracy"]) if key in systems.index else float("nan")


def listed(parameters: Mapping[str, Any]) -> str:
    """Return parameters as ``name=value``, sorted."""
    return ";".join(f"{k}={v}" for k, v in sorted(parameters.items()))


def joint_overview(results: Results) -> pd.DataFrame:
    """Return one row per experiment with joint trainings: mean accuracies over the targets that have one."""
    rows = []
    for name in results.experiments:
        targets = results.of_experiment(name, JOINT_ALL).index
        means = {
            system: results.of_experiment(name, system)["accuracy"].reindex(targets).mean() for system in BESIDE_JOINT
        }
        rows += [{"experiment": name, "targets": len(targets), **means}] if len(targets) else []
    return pd.DataFrame(rows, columns=["experiment", "targets", *BESIDE_JOINT])


def experiment_overview(results: Results, details: pd.DataFrame) -> pd.DataFrame:
    """Return one row per experiment: mean accuracy, effects, and how many targets it helped (means over seeds)."""
    per_target = details.groupby(["experiment", "target"]).mean(numeric_only=True).reset_index()
    rows = []
    for name in results.experiments:
        merges = per_target[per_target["experiment"] == name]
        rows.append(
            {
                "experiment": name,
                "title": results.titles[name],
                "tier": details.loc[details["experiment"] == name, "tier"].iloc[0],
                "targets": len(merges),
                "accuracy": merges["accuracy"].mean(),
                "effect_best": merges["effect_best"].mean(),
                "effect_mean": merges["effect_mean"].mean(),
                "vs_ensemble": (merges["accuracy"] - merges[ENSEMBLE]).mean(),
                "vs_best_zero_shot_val": merges["vs_best_zero_shot_val"].mean(),
                "vs_best_zero_shot_oracle": merges["vs_best_zero_shot_oracle"].mean(),
                "improved_val": int((merges["vs_best_zero_shot_val"] > 0).sum()),
                "hurt_val": int((merges["vs_best_zero_shot_val"] < 0).sum()),
                "constructive": int((merges["vs_best_zero_shot_oracle"] > 0).sum()),
                "destructive": int((merges["vs_best_zero_shot_oracle"] < 0).sum()),
            }
        )
    return pd.DataFrame(rows)


def group_breakdown(results: Results, details: pd.DataFrame, group: str) -> pd.DataFrame:
    """Return mean accuracies and effects by a column of the locale table, targets weighing the same."""
    per_target = details.groupby("target").mean(numeric_only=True)
    per_target["group"] = [results.languages[t][group] for t in per_target.index]
    columns = [SELF, BEST_SINGLE, MEAN_SINGLE, "accuracy", "effect_best", "vs_best_zero_shot_val"]
    table = per_target.groupby("group")[columns].mean()
    table.insert(0, "targets", per_target.groupby("group").size())
    return table.reset_index()


def pairwise(results: Results) -> pd.DataFrame:
    """Return, for each pair of methods, their difference over all targets where only the method differs."""
    experiments = results.experiments
    groups: dict[str, list[str]] = {}
    for name, settings in experiments.items():
        groups.setdefault(str([settings[k] for k in SELECTION]), []).append(name)
    differences: dict[tuple[str, str], list[pd.Series]] = {}
    for names in groups.values():
        for first, second in itertools.combinations(names, 2):
            pair = (method_title(results, first), method_title(results, second))
            accuracies = (results.of_experiment(name)["accuracy"] for name in (first, second))
            differences.setdefault(pair, []).append(operator.sub(*accuracies))
    return pd.DataFrame([_pair(*pair, pd.concat(parts)) for pair, parts in differences.items()])


def method_title(results: Results, experiment: str) -> str:
    """Return the method's name, with those of its parameters that differ between the run's variants of it."""
    method, parameters = (results.experiments[experiment][key] for key in ("method", "method_parameters"))
    variants = [e["method_parameters"] for e in results.experiments.values() if e["method"] == method]
    varying = {key: value for key, value in parameters.items() if any(other[key] != value for other in variants)}
    return f"{method} ({listed(varying)})" if varying else method


def _pair(first: str, second: str, difference: pd.Series) -> dict[str, Any]:
    return {
        "first": first,
        "second": second,
        "pairs": len(difference),
        "mean_difference": difference.mean(),
        "first_better": int((difference > 0).sum()),
        "equal": int((difference == 0).sum()),
        "second_better": int((difference < 0).sum()),
    }
