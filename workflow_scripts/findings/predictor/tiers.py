"""The predictor of each supervision tier: what it learns, how well, and what following it would cost."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor

from workflow_scripts.core.atomic import for_json
from workflow_scripts.core.digests import derive_seed
from workflow_scripts.findings.predictor.decision_rules import policies
from workflow_scripts.findings.predictor.evidence import Evidence
from workflow_scripts.findings.predictor.options import Option, TargetChoice, choose, within
from workflow_scripts.findings.predictor.recommendations import FINE_TUNE_BELOW
from workflow_scripts.findings.predictor.regret import HALVINGS, Judged, judge, means_over_targets
from workflow_scripts.findings.predictor.ridge import fit_ridge, leave_one_out
from workflow_scripts.findings.predictor.scores import permutation_null, r_squared, score
from workflow_scripts.selection.systems import TIERS
from workflow_scripts.statistics.verdicts import SEEDS

ENOUGH = 20  # targets from which on a predictor is tested; below that everything is descriptive
LEAST = 3  # targets without which nothing can be learnt and left out
DEFINITIONS = {
    "effect": "test accuracy of a merge − that of the tier's single source, both means over seeds; the single source "
    "is best_zero_shot_val where validation labels may be seen, else the one that is best on the other targets' "
    "validation data",
    "regret": "test accuracy lost against the best option in hindsight, chosen on one half of the test clusters and "
    f"judged, like every policy, on the other ({HALVINGS} ways of halving, both directions)",
    "p": "share of permutations of whole targets whose leave-one-target-out R² is as large, everything refitted; only "
    f"from {ENOUGH} targets on",
    "interval": "95 %, over targets, conditional on the trained models",
}


@dataclass(frozen=True)
class _Task:
    """A tier's targets: choices, options (the single source, then merges), their judgement."""

    choices: dict[str, TargetChoice]
    options: dict[str, list[Option]]
    judged: dict[str, Judged]
    rows: list[tuple[str, str]]  # (experiment, target) of every merge

    @property
    def targets(self) -> np.ndarray:
        return np.array([target for _, target in self.rows])


def predictor_summary(evidence: Evidence) -> dict[str, Any]:
    """Return tier → what was learnt and what policies lose; see `predict_tier`."""
    tiers = {tier: predict_tier(tier, evidence) for tier in TIERS}
    summary = {
        "definitions": DEFINITIONS,
        "criteria": {"targets": ENOUGH, "fine_tune_below": FINE_TUNE_BELOW, "seeds": SEEDS},
        "targets": len(evidence.results.targets),
        "not_halved": sorted(set(evidence.results.targets) - set(evidence.first_halves)),
        "tiers": {tier: part for tier, part in tiers.items() if part is not None},
    }
    return dict(for_json(summary))


def predict_tier(tier: str, evidence: Evidence) -> dict[str, Any] | None:
    """Return what `report/predictor.json` says of a tier; None if no experiment is of it.

    The effect of a merge is its test accuracy, mean over seeds, minus that of the tier's single source
    (`TargetChoice.single`: with labels `best_zero_shot_val`).
    """
    task = _task(tier, evidence)
    if not task.rows:
        return None
    enough = len(task.choices) >= LEAST
    learnt: dict[str, Any] = {
        "targets": len(task.choices),
        "merges": len(task.rows),
        "descriptive": len(task.choices) < ENOUGH,
        "single_source": sorted({o.single.key[1] for o in task.choices.values()}),
    }
    learnt["predictor"] = _quality(tier, task, evidence) if enough else None
    predicted = _predicted_choices(tier, task, evidence) if enough else {}
    return learnt | _compared(tier, task, evidence, predicted)


def _task(tier: str, evidence: Evidence) -> _Task:
    choices, options, judged, rows = {}, {}, {}, []
    for target, first in evidence.first_halves.items():
        choice = choose(evidence.options, target, tier)
        merges = [o for o in evidence.options[target] if o.kind == "merge" and within(o.tier, tier)]
        if choice is None or not merges:
            continue
        choices[target], options[target] = choice, [choice.single, *merges]
        judged[target] = judge([evidence.correct(target, o.key) for o in options[target]], first)
        rows += [(o.key[0], target) for o in merges]
    return _Task(choices, options, judged, rows)


def _columns(tier: str, evidence: Evidence) -> list[str]:
    features, tiers = evidence.features
    return [name for name in features if within(tiers[name], tier)]


def _design(tier: str, task: _Task, evidence: Evidence) -> pd.DataFrame:
    """Return the tier's features of its merges; what does not vary among them is left out."""
    table = evidence.features[0].loc[task.rows, _columns(tier, evidence)]
    return table.loc[:, [np.ptp(table[name]) > 1e-9 for name in table]]


def _quality(tier: str, task: _Task, evidence: Evidence) -> dict[str, Any]:
    design, groups = _design(tier, task, evidence), task.targets
    x, tiers = design.to_numpy(float), evidence.features[1]
    effects = np.concatenate([_effects(task.options[t], t, evidence) for t in task.options])
    predictions = leave_one_out(x, effects[:, None], groups)[:, 0]
    model = fit_ridge(x, effects[:, None], groups)
    quality: dict[str, Any] = {
        "leave_one_target_out": asdict(score(effects, predictions, groups)),
        "mean_effect": float(effects.mean()),
        "penalty": float(model.penalties[0]),
        "features": [
            {"name": n, "tier": tiers[n], "coefficient": float(c), "mean": float(m), "sd": float(s)}
            for n, c, m, s in zip(design, model.coefficients[:, 0], model.means, model.scales, strict=True)
        ],
    }
    quality["features"].sort(key=lambda f: -abs(f["coefficient"]))
    if len(task.choices) < ENOUGH:
        return {**quality, "p": None}
    experiments = np.array([experiment for experiment, _ in task.rows])
    p, null = permutation_null(x, effects, groups, experiments, derive_seed("predictor", tier))
    boosted = _boosted(x, effects, groups)
    return {
        **quality,
        "p": p,
        "null_r2": {"mean": float(null.mean()), "q95": float(np.quantile(null, 0.95)), "permutations": len(null)},
        "gradient_boosting_r2": float(r_squared(effects[:, None], boosted[:, None], groups)[0]),
    }


def _effects(options: list[Option], target: str, evidence: Evidence) -> np.ndarray:
    single, *merges = (evidence.correct(target, o.key).mean() for o in options)
    return np.array(merges) - single


def _boosted(x: np.ndarray, effects: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return leave-one-target-out predictions of a small gradient-boosted model: lines may be too simple."""
    predictions = np.empty(len(effects))
    for group in np.unique(groups):
        held = groups == group
        model = GradientBoostingRegressor(n_estimators=50, max_depth=2, subsample=0.5, random_state=0)
        predictions[held] = model.fit(x[~held], effects[~held]).predict(x[held])
    return predictions


def _predicted_choices(tier: str, task: _Task, evidence: Evidence) -> dict[str, np.ndarray]:
    """Return the predictor's option per target and draw: the merge with the best predicted effect, if above 0.

    It learns from the effects of other targets on the half that the oracle sees, so nothing that it learns from is
    judged, not even where targets share utterances.
    """
    x, groups = _design(tier, task, evidence).to_numpy(float), task.targets
    effects = np.vstack([j.seen[1:] - j.seen[0] for j in task.judged.values()])
    predictions = leave_one_out(x, effects, groups)
    of_target = {target: predictions[groups == target] for target in task.judged}
    return {target: np.where(p.max(0) > 0, p.argmax(0) + 1, 0) for target, p in of_target.items()}


def _compared(tier: str, task: _Task, evidence: Evidence, predicted: dict[str, np.ndarray]) -> dict[str, Any]:
    regrets, merged, descriptions = {}, {}, {}
    for name, policy in policies(tier).items():
        chosen = {t: task.options[t].index(policy.pick(c, evidence.level(t))) for t, c in task.choices.items()}
        regrets[name] = {t: task.judged[t].regret(i) for t, i in chosen.items()}
        merged[name] = float(np.mean([i > 0 for i in chosen.values()]))
        descriptions[name] = policy.description
    if predicted:
        regrets["predictor"] = {t: task.judged[t].regret(i) for t, i in predicted.items()}
        merged["predictor"] = float(np.mean([(i > 0).mean() for i in predicted.values()]))
        descriptions["predictor"] = "the merge with the largest predicted effect, if that is above 0"
    table = pd.DataFrame(regrets)
    table = table[table.mean().sort_values(kind="stable").index]
    versus = {
        "regret": table,
        "less_than_never": table.rsub(table["never merge"], axis=0),
        "more_than_best": table.sub(table.iloc[:, 0], axis=0),
    }
    means = {kind: dict(zip(table, means_over_targets(values), strict=True)) for kind, values in versus.items()}
    rows = [
        {
            "policy": name,
            "description": descriptions[name],
            "merges": merged[name],
            **{kind: of_policies[name] for kind, of_policies in means.items()},
        }
        for name in table
    ]
    return {"policies": rows, "statement": _statement(rows)}


def _statement(rows: list[dict[str, Any]]) -> str:
    """Return which policy loses least, and which are not worse beyond doubt; rows are ordered by regret."""
    best, *others = rows
    same = [r["policy"] for r in others if r["more_than_best"]["high"] == r["more_than_best"]["low"] == 0]
    worse = [r["policy"] for r in others if r["more_than_best"]["low"] > 0]
    alike = [r["policy"] for r in others if r["policy"] not in {*same, *worse}]
    parts = [f"`{best['policy']}` loses least: regret {_points(best['regret'])}"]
    if best["policy"] != "never merge":
        parts.append(f"{_points(best['less_than_never'])} less than never merging")
    if same:
        parts.append(f"as good: {_listed(same)}")
    if alike:
        parts.append(f"the interval of the difference to it includes 0 for {_listed(alike)}")
    if worse:
        parts.append(f"worse: {_listed(worse)}")
    return "; ".join(parts) + "."


def _points(mean: dict[str, float]) -> str:
    value, low, high = (100 * mean[key] for key in ("value", "low", "high"))
    return f"{value:.1f} points" + ("" if np.isnan(low) else f" [{low:.1f}, {high:.1f}]")


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
