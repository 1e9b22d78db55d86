"""The report in Markdown: what was run, what merging did, how sure, what was made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from workflow_scripts.results import tables
from workflow_scripts.results.run_results import Results
from workflow_scripts.results.selection_diagnostics import selector_overview

TEMPLATES = Path(__file__).parent / "templates"
LARGE_DIFFERENCE = 0.05
EXTREMES = 5


def render_report(
    results: Results,
    details: pd.DataFrame,
    diagnostics: pd.DataFrame,
    findings: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> str:
    """Return the report's Markdown.

    Parameters
    ----------
    results : Results
    details : DataFrame
        `tables.merge_details`.
    diagnostics : DataFrame
        `selection_diagnostics`.
    findings : mapping
        ``significance``: see `significance.significance`; ``claims``: see `claims.ledger.ledger_rows`;
        ``advice``: see `advice.report_section`.
    facts : mapping
        Cost, provenance and similarity facts from the sidecars.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"percent": percent, "points": points, "table": markdown_table}
    return environment.get_template("report.md.j2").render(
        **_context(results, details, facts), selectors=_selector_rows(diagnostics), **findings
    )


def percent(value: float) -> str:
    """Return an accuracy as ``71.3 %``."""
    return "–" if pd.isna(value) else f"{100 * value:.1f} %"


def points(value: float) -> str:
    """Return a difference as signed percentage points, ``+1.2``."""
    return "–" if pd.isna(value) else f"{100 * value:+.1f}"


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table; the keys of the first row are its head."""
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def _context(results: Results, details: pd.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
    overview = tables.experiment_overview(results, details)
    summary = tables.cross_lingual_summary(results)
    return {
        "run": results.settings,
        "results": results,
        "facts": facts,
        "targets": results.targets,
        "n_merges": len(details),
        "items": {"n": int(summary["n"].sum()), "clusters": int(summary["clusters"].sum())},
        "baselines": _baseline_rows(results),
        "experiments": _experiment_rows(overview),
        "joint": _joint_rows(results),
        "best": _headline(results, overview),
        "per_target": _target_rows(results, summary),
        "improved": _improved(results),
        "pairwise": _pair_rows(tables.pairwise(results)),
        "successful": _extreme_rows(results, details, ascending=False),
        "harmful": _extreme_rows(results, details, ascending=True),
        "spread": _spread_rows(results),
        "groups": {group: _group_rows(results, details, group) for group in ("genus", "script", "resource_level")},
        "large": LARGE_DIFFERENCE,
    }


def _interval(row: Any, name: str = "accuracy") -> str:
    if pd.isna(row[name]):
        return "–"
    low, high = ("low", "high") if name == "accuracy" else (f"{name}_low", f"{name}_high")
    return f"{100 * row[name]:.1f} [{100 * row[low]:.0f}, {100 * row[high]:.0f}]"


def _baseline_rows(results: Results) -> list[dict[str, Any]]:
    notes = {
        "self": "the target's own model",
        "best_zero_shot": "best other model, **oracle: chosen on the test data**",
        "best_zero_shot_val": "best other model, chosen on validation data",
        "mean_zero_shot": "mean of all other models",
        "english": f"the {results.settings['pivot']} model",
        "average_all": "uniform average of all other models",
        "few_shot": "`best_zero_shot_val`'s model, fine-tuned on the target's validation data",
        "few_shot_base": "θ₀, fine-tuned on the target's validation data",
    }
    notes |= dict.fromkeys(results.soups, "average of several seeds of the source that is best on validation data")
    rows = []
    for name, note in notes.items():
        found = results.baseline(name)["accuracy"].dropna()
        if len(found):
            low, high = 100 * found.min(), 100 * found.max()
            rows.append({"system": f"`{name}`", "what it is": note, "targets": len(found),
                         "mean accuracy": percent(found.mean()), "range": f"{low:.0f}–{high:.0f} %"})  # fmt: skip
    return rows


def _experiment_rows(overview: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "experiment": f"`{row.experiment}`",
            "supervision": row.tier,
            "mean accuracy": percent(row.accuracy),
            "effect_best": points(row.effect_best),
            "effect_mean": points(row.effect_mean),
            "− ensemble": points(row.vs_ensemble),
            "− best_zero_shot_val": points(row.vs_best_zero_shot_val),
            "better / worse": f"{row.improved_val} / {row.hurt_val}",
            "constructive / destructive (oracle)": f"{row.constructive} / {row.destructive}",
        }
        for row in overview.sort_values("accuracy", ascending=False).itertuples()
    ]


def _joint_rows(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "experiment": f"`{row['experiment']}`",
            "targets": row["targets"],
            **{system: percent(row[system]) for system in tables.BESIDE_JOINT},
        }
        for row in tables.joint_overview(results).to_dict("records")
    ]


def _selector_rows(diagnostics: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            **{k: row[k] for k in ("similarity", "selector", "k", "supervision")},
            "mean rank by transfer (chance)": f"{row['mean rank']:.1f} ({row['chance']:.1f})",
            "among the best k": f"{100 * row['overlap']:.0f} %",
            "mean transfer": percent(row["transfer"]),
            "of the best k (oracle)": percent(row["best possible"]),
        }
        for row in selector_overview(diagnostics)
    ]


def _headline(results: Results, overview: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of the first paragraph; the merge per target is chosen on validation data."""
    chosen, fair = results.chosen_and_fair
    effect = pd.Series(
        {t: chosen[t] - results.of_experiment(e, "best_source").loc[t, "accuracy"] for t, e in results.chosen.items()}
    )
    return {
        "chosen": chosen.mean(),
        "self": results.baseline("self")["accuracy"].mean(),
        "zero_shot": results.baseline("mean_zero_shot")["accuracy"].mean(),
        "fair": fair.mean(),
        "difference": (chosen - fair).mean(),
        "better": int((chosen > fair).sum()),
        "worse": int((chosen < fair).sum()),
        "targets": len(chosen),
        "effect_best": effect.mean(),
        "range": (overview["effect_best"].min(), overview["effect_best"].max()),
    }


def _target_rows(results: Results, summary: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for _, row in summary.iterrows():
        chosen = row["chosen_on_validation"]
        rows.append(
            {
                "target": row["target"],
                "language": row["language"],
                "n (clusters)": f"{row['n']} ({row['clusters']})",
                "self": _interval(row, "self"),
                "best_zero_shot_val": _interval(row, "best_zero_shot_val"),
                "best_zero_shot (oracle)": percent(row["best_zero_shot_oracle"]),
                "ZS/self": f"{row['zs_self_ratio']:.2f}",
                "merge chosen on validation": results.titles.get(chosen, "–"),
                "its accuracy": _interval(row, "chosen_merge"),
                "difference": points(row["chosen_merge"] - row["best_zero_shot_val"]),
            }
        )
    return rows


def _improved(results: Results) -> dict[str, list[str]]:
    """Return the targets that the merge chosen on validation improved, hurt, or left equal."""
    found: dict[str, list[str]] = {"improved": [], "hurt": [], "equal": []}
    chosen, fair = results.chosen_and_fair
    for target, difference in (chosen - fair).items():
        kind = "equal" if difference == 0 else "improved" if difference > 0 else "hurt"
        found[kind].append(f"{target} ({points(difference)})")
    return {k: sorted(v) for k, v in found.items()}


def _pair_rows(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "methods": f"{row.first} − {row.second}",
            "pairs": row.pairs,
            "mean difference": points(row.mean_difference),
            "first better": row.first_better,
            "equal": row.equal,
            "second better": row.second_better,
        }
        for row in pairs.itertuples()
    ]


def _extreme_rows(results: Results, details: pd.DataFrame, ascending: bool) -> list[dict[str, Any]]:
    ordered = details.sort_values(["effect_best", "target", "experiment"], ascending=[ascending, True, True])
    kept = ordered[ordered["effect_best"] < 0] if ascending else ordered[ordered["effect_best"] > 0]
    return [
        {
            "target": row.target,
            "merge": results.titles[row.experiment] + ("" if results.one_seed else f" (seed {row.seed})"),
            "sources": row.sources.replace(";", ", "),
            "accuracy": f"{100 * row.accuracy:.1f} [{100 * row.low:.0f}, {100 * row.high:.0f}]",
            "best source (oracle)": percent(row.best_source_oracle),
            "effect_best": points(row.effect_best),
            "− best_zero_shot_val": points(row.vs_best_zero_shot_val),
        }
        for row in kept.head(EXTREMES).itertuples()
    ]


def _spread_rows(results: Results) -> list[dict[str, Any]]:
    """Return the targets where the best and the worst merge are far apart."""
    rows = []
    for target in results.targets:
        found = {
            name: results.of_experiment(name).loc[target, "accuracy"]
            for name in results.experiments
            if target in results.of_experiment(name).index
        }
        best, worst = max(found, key=lambda n: found[n]), min(found, key=lambda n: found[n])
        if found[best] - found[worst] > LARGE_DIFFERENCE:
            rows.append(
                {
                    "target": target,
                    "best merge": f"{results.titles[best]} ({percent(found[best])})",
                    "worst merge": f"{results.titles[worst]} ({percent(found[worst])})",
                    "difference": points(found[best] - found[worst]),
                }
            )
    return sorted(rows, key=lambda r: -float(r["difference"]))


def _group_rows(results: Results, details: pd.DataFrame, group: str) -> list[dict[str, Any]]:
    return [
        {
            group: row.group,
            "targets": row.targets,
            "self": percent(row.self),
            "best_zero_shot_val": percent(row.best_zero_shot_val),
            "mean of merges": percent(row.accuracy),
            "effect_best": points(row.effect_best),
            "− best_zero_shot_val": points(row.vs_best_zero_shot_val),
        }
        for row in tables.group_breakdown(results, details, group).itertuples()
    ]


def cost_facts(sidecars: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return wall time, jobs and peak memory per stage; what was looked up counts with what making it took."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for found in sidecars:
        stages.setdefault(found["rule"], []).append(found.get("making_cost") or found["cost"])
    return [
        {
            "stage": rule,
            "jobs": len(costs),
            "wall time, sum": f"{sum(c['wall_seconds'] for c in costs):.0f} s",
            "longest": f"{max(c['wall_seconds'] for c in costs):.0f} s",
            "peak memory": f"{np.max([c['peak_memory_mb'] for c in costs]):.0f} MB",
        }
        for rule, costs in stages.items()
    ]
