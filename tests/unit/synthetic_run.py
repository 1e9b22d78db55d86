"""Finished runs made of random numbers, whose merges follow a rule that the test knows."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from workflow_scripts.findings.predictor.evidence import Evidence, Validation
from workflow_scripts.results.items import Correctness
from workflow_scripts.results.run_results import Results

K = 2
TIERS = {"NXN": "labelled validation", "SIM": "none"}
SETTINGS = {
    "method_parameters": {}, "selector": "top_k", "selector_parameters": {}, "num_languages": K, "include_target": False,
    "target_similarity": 1.0, "compatibility": False,
}  # fmt: skip
EXPERIMENTS = {
    "near": {**SETTINGS, "method": "average", "similarity_type": "SIM"},
    "transfer": {**SETTINGS, "method": "average", "similarity_type": "NXN"},
    "own": {**SETTINGS, "method": "average", "similarity_type": "SIM", "include_target": True},
}
Effect = Callable[[str, float], float]  # (experiment, mean similarity of its sources) → accuracy − best zero-shot


def synthetic_evidence(targets: int, effect: Effect, seeds: int = 1, items: int = 200, noise: int = 0) -> Evidence:
    """Return a run whose merges, on validation and test data, have the best zero-shot accuracy plus an effect."""
    generator = np.random.default_rng(noise)
    locales = [f"L{i:02d}" for i in range(targets)]
    level = generator.uniform(0.4, 1, (targets, 1))  # some targets have near neighbours, some have none
    similarity = frame(level * generator.random((targets, targets)), locales)
    transfer = generator.uniform(0.5, 0.7, (targets, targets))
    np.fill_diagonal(transfer, 0.9)
    matrix = frame(transfer, locales)  # rows = models
    run = _Run(locales, matrix, {"SIM": similarity, "NXN": matrix.T}, effect, generator, items)
    plan = {f"{name}/{t}/{s}": run.entry(name, t, s) for name in EXPERIMENTS for t in locales for s in range(seeds)}
    validation = {t: run.validation(t, plan, seeds) for t in locales}
    found = {t: run.items(t, plan, seeds, validation[t]) for t in locales}
    systems = pd.concat([_systems(t, found[t], validation[t], plan) for t in locales], ignore_index=True)
    settings = {
        "run": "synthetic",
        "margin": 0.02,
        "locales": locales,
        "seeds": list(range(seeds)),
        "pivot": locales[0],
    }
    settings["measures"] = {"SIM": "uriel", "NXN": "nxn"}
    languages = {
        name: {"language": name, "family": "ABC"[i % 3], "genus": "DE"[i % 2], "script": "Latn", "cc100_gib": float(i)}
        for i, name in enumerate(locales)
    }
    results = Results(systems, plan, EXPERIMENTS, matrix, matrix, languages, settings)
    return Evidence(
        results, found, validation, {(n, s): m for n, m in run.similarities.items() for s in range(seeds)},
        dict.fromkeys(range(seeds), matrix), TIERS,
    )  # fmt: skip


def frame(values: np.ndarray, locales: list[str]) -> pd.DataFrame:
    return pd.DataFrame(values, locales, locales)


class _Run:
    def __init__(self, locales, matrix, similarities, effect, generator, items):
        self.locales, self.matrix, self.similarities = locales, matrix, similarities
        self.effect, self.generator, self.n = effect, generator, items

    def entry(self, name, target, seed):
        settings = EXPERIMENTS[name]
        row = self.similarities[settings["similarity_type"]].loc[target].drop(target).sort_values(ascending=False)
        sources = [target] * settings["include_target"] + list(row.index)
        tier = "labelled training" if settings["include_target"] else TIERS[settings["similarity_type"]]
        return {
            "experiment": name, "target": target, "seed": seed, "tier": tier, "selection_tier": tier,
            "effective_sources": float(K), "sources": [{"locale": s, "weight": 1 / K} for s in sources[:K]],
        }  # fmt: skip

    def merged(self, entry):
        """Return the accuracy that a merge is to have."""
        target = entry["target"]
        sources = [s["locale"] for s in entry["sources"]]
        near = float(self.similarities["SIM"].loc[target, sources].mean())
        return self.matrix[target].drop(target).max() + self.effect(entry["experiment"], near)

    def draw(self, accuracy):
        """Return correctness whose share is as wanted, in random order."""
        right = np.arange(self.n) < round(accuracy * self.n)
        return self.generator.permutation(right)

    def validation(self, target, plan, seeds):
        own = [e for e in plan.values() if e["target"] == target]
        correct = {(s, seed): self.draw(self.matrix.loc[s, target]) for s in self.locales for seed in range(seeds)}
        predictions = {key: np.where(right, 0, 1) for key, right in correct.items()}
        correct |= {(e["experiment"], e["seed"]): self.draw(self.merged(e)) for e in own}
        return Validation(np.arange(self.n) // 2, predictions, correct)

    def items(self, target, plan, seeds, validation):
        correct = {}
        for seed in range(seeds):
            models = {s: self.draw(self.matrix.loc[s, target]).astype(np.float32) for s in self.locales}
            best = min((s for s in models if s != target), key=lambda s: (-validation.correct[s, seed].mean(), s))
            correct["", "self", seed] = models[target]
            correct["", "best_zero_shot_val", seed] = models[best]
            correct["", "mean_zero_shot", seed] = np.mean([models[s] for s in models if s != target], axis=0)
            for entry in (plan[f"{name}/{target}/{seed}"] for name in EXPERIMENTS):
                correct[entry["experiment"], "merge", seed] = self.draw(self.merged(entry)).astype(np.float32)
                correct[entry["experiment"], "top1", seed] = models[entry["sources"][0]["locale"]]
        clusters = np.array([f"{target}-{i // 2}" for i in range(self.n)])
        return Correctness(np.arange(self.n).astype(str), clusters, correct)


def _systems(target, items, validation, plan):
    """Return the evaluation's rows: per seed and mean."""
    rows = []
    others = sorted({s for s, _ in validation.predictions} - {target})
    for (experiment, system, seed), correct in items.correct.items():
        if system == "merge":
            model, tier, own = "", plan[f"{experiment}/{target}/{seed}"]["tier"], validation.correct[experiment, seed]
        elif system == "top1":
            entry = plan[f"{experiment}/{target}/{seed}"]
            model, tier = entry["sources"][0]["locale"], entry["tier"]
            own = validation.correct[model, seed]
        elif system == "mean_zero_shot":
            model, tier, own = "", "none", np.mean([validation.correct[s, seed] for s in others], axis=0)
        else:
            tier = "labelled training" if system == "self" else "labelled validation"
            model = target if system == "self" else min(others, key=lambda s: (-validation.correct[s, seed].mean(), s))
            own = validation.correct[model, seed]
        rows.append({"target": target, "experiment": experiment, "system": system, "tier": tier, "seed": seed,
                     "accuracy": correct.mean(), "accuracy_validation": own.mean(), "model": model})  # fmt: skip
    table = pd.DataFrame(rows)
    keys = ["target", "experiment", "system", "tier"]
    mean = table.groupby(keys, sort=False, as_index=False).agg(
        {"accuracy": "mean", "accuracy_validation": "mean", "model": lambda m: "/".join(dict.fromkeys(m))}
    )
    both = pd.concat([table, mean.assign(seed="mean")])
    return both.assign(low=both["accuracy"] - 0.1, high=both["accuracy"] + 0.1)
