"""Finished runs made of known accuracies: what the analyses read, without a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.results.items import write_items
from workflow_scripts.results.run_results import Results

N = 200  # items per target; an accuracy is a multiple of 1/200
Accuracy = Callable[[str, int, int], float]  # (experiment or baseline, target's position, seed) → accuracy
BASELINES = (
    "self", "best_zero_shot_val", "best_zero_shot", "mean_zero_shot", "english", "best_zero_shot_elsewhere", "average_all",
)  # fmt: skip
OF_SOURCES = ("best_source_val", "best_source", "source_mean", "top1", "ensemble_weighted_soft")
TIERS = {
    "URIEL": "none",
    "RANDOM": "none",
    "EMBEDDING": "unlabelled",
    "NXN": "labelled validation",
    "REAL": "labelled training",
}


def settings(
    method: str = "average", similarity: str = "NXN", k: int = 3, include: bool = False, **more: Any
) -> dict[str, Any]:
    """Return an experiment's settings."""
    return {
        "method": method, "method_parameters": {}, "similarity_type": similarity, "selector": "top_k",
        "selector_parameters": {}, "num_languages": k, "include_target": include, "target_similarity": 1.0,
        "compatibility": False, **more,
    }  # fmt: skip


@dataclass
class Synthetic:
    """A finished run.

    `accuracy` says what each merge (by experiment) and baseline reaches on a target's test data: the first items of the
    target's list are right. `validation` says the same of validation data; default: the same values.
    """

    folder: Path
    experiments: Mapping[str, dict[str, Any]]
    accuracy: Accuracy
    validation: Accuracy | None = None
    targets: int = 12
    seeds: Sequence[int] = (0, 1, 2)
    languages: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    sources: Callable[[str, int], list[str]] | None = None
    matrix: pd.DataFrame | None = None
    clusters: int = 1  # items per cluster
    pivot: bool = True  # is the pivot, the first target, among the models?

    @property
    def names(self) -> list[str]:
        return [f"{chr(97 + i // 26)}{chr(97 + i % 26)}-XX" for i in range(self.targets)]

    @cached_property
    def paths(self) -> dict[str, str]:
        """Write the items and return where they are."""
        found = {}
        for i, target in enumerate(self.names):
            rows = ((e, s, seed, self.correct(key, i, seed)) for e, s, key in self._systems(i) for seed in self.seeds)
            found[target] = str(self.folder / f"{target}.items.parquet")
            clusters = [f"{target}/{n // self.clusters}" for n in range(N)]
            write_items(found[target], [f"{target}/{n}" for n in range(N)], clusters, rows)
        return found

    def correct(self, key: str, place: int, seed: int) -> np.ndarray:
        return (np.arange(N) < round(self.accuracy(key, place, seed) * N)).astype(float)

    def results(self) -> Results:
        """Return what the analyses read; do not change it."""
        return self._results

    @cached_property
    def _results(self) -> Results:
        rows = []
        validation = self.validation or self.accuracy
        for i, target in enumerate(self.names):
            for experiment, system, key in self._systems(i):
                test = [float(self.correct(key, i, seed).mean()) for seed in self.seeds]
                val = [validation(key, i, seed) for seed in self.seeds]
                for seed, a, v in zip([*self.seeds, "mean"], [*test, np.mean(test)], [*val, np.mean(val)], strict=True):
                    rows.append({"target": target, "experiment": experiment, "system": system, "seed": seed, "accuracy": a,
                                 "accuracy_validation": v, "n": N, "clusters": N // self.clusters, "model": ""})  # fmt: skip
        languages = {
            t: {"family": f"family {i % 6}", "genus": f"genus {i % 3}", "script": "Latn", "resource_level": "high", "cc100_gib": 1.0}
            | {k: v[i] for k, v in self.languages.items()}
            for i, t in enumerate(self.names)
        }  # fmt: skip
        matrix = self.matrix if self.matrix is not None else pd.DataFrame(0.5, index=self.names, columns=self.names)
        run = {
            "run": "synthetic", "margin": 0.02, "locales": self.names, "seeds": list(self.seeds), "order": list(self.experiments),
            "measures": {s: s.lower() for s in TIERS}, "pivot": self.names[0] if self.pivot else "en-US",
        }  # fmt: skip
        return Results(
            pd.DataFrame(rows), self._plan(), dict(sorted(self.experiments.items())), matrix, matrix, languages, run
        )

    def _systems(self, place: int) -> list[tuple[str, str, str]]:
        """Return (experiment, system, key of its accuracy) of a target; a source baseline's key is its name."""
        found = [("", name, name) for name in BASELINES if name != "english" or (self.pivot and place)]
        for name in self.experiments:
            found += [(name, "merge", name), *((name, system, system) for system in OF_SOURCES)]
        return found

    def _plan(self) -> dict[str, dict[str, Any]]:
        plan = {}
        for name, e in self.experiments.items():
            tier = "labelled training" if e["include_target"] else TIERS[e["similarity_type"]]
            for i, target in enumerate(self.names):
                chosen = self.sources(name, i) if self.sources else [t for t in self.names if t != target]
                sources = [{"locale": s, "weight": 1.0, "similarity": 1.0} for s in chosen[: e["num_languages"]]]
                for seed in self.seeds:
                    plan[f"{name}/{target}/{seed}"] = {
                        "experiment": name, "target": target, "seed": seed, "tier": tier, "selection_tier": tier,
                        "sources": sources, "warnings": [], "effective_sources": 3.0,
                    }  # fmt: skip
        return plan


def wobble(place: int, seed: int, key: str = "") -> float:
    """Return a small deterministic deviation, a multiple of 1/200 between −0.01 and 0.01."""
    return ((place * 7 + seed * 3 + len(key) * 5) % 5 - 2) / 200
