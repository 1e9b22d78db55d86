"""When does merging help: the predictor, and what following it or simpler policies would cost."""

import textwrap
from typing import Any

from workflow_scripts.core.words import (
    number,
    p_value,
    plural,
    points,
    points_interval,
    unsigned_points,
    whole_percent,
    with_minus,
)
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Block, Choice, Folded, Plot, Prose, Section, Table, number_cell, table
from workflow_scripts.report.marks import marked, with_code
from workflow_scripts.report.run_data import LABELS_CHOOSE, RunData
from workflow_scripts.selection.systems import TIERS

Part = dict[str, Any]


def section(data: RunData) -> Section:
    """Return the section on the predictor, empty where the run has none."""
    found: dict[str, Part] = data.predictor.get("tiers", {})
    tiers = {tier: found[tier] for tier in TIERS if tier in found}
    if not tiers:
        return Section("predictor", "Predictor", [])
    blocks: list[Block] = [_introduction(data), _regret(tiers)]
    blocks += [_statement(tier, part["statement"]) for tier, part in tiers.items()]
    blocks.append(Folded("All policies", [_policies(tier, part) for tier, part in tiers.items()]))
    learnt = {tier: part for tier, part in tiers.items() if part["predictor"]}
    if learnt:
        blocks.append(_quality(learnt))
        features = [_features(tier, part) for tier, part in learnt.items()]
        blocks.append(Folded("What the predictor looks at", features, file="predictor.json"))
    return Section("predictor", "Can one know beforehand when to merge?", blocks)


def _introduction(data: RunData) -> Prose:
    text = (
        "*Regret* is the test accuracy that a policy loses against the best choice in hindsight, which is picked on "
        "one half of the test clusters and judged on the other; below 0, hindsight on half of the data is worse than "
        "the policy. The predictor is a ridge regression: it learns the effect of a merge from what is known before it "
        "is made, and is judged on targets that it has not seen. Intervals are over targets, not corrected for having "
        "picked the best{}."
    )
    seeds = "; training noise is in none of them (one seed)" if data.results.one_seed else ""
    if not any(part["descriptive"] for part in data.predictor["tiers"].values()):
        return Prose(marked(text, seeds))
    return Prose(
        marked(
            f"{text} **Fewer than {{}} targets: this describes the run and proves nothing.** Under pure noise such "
            "figures look better than they are, so there is no p.",
            seeds,
            number(data.predictor["criteria"]["targets"]),
        )
    )


def _regret(tiers: dict[str, Part]) -> Plot:
    views = {tier: _view(part) for tier, part in tiers.items()}
    start = LABELS_CHOOSE if LABELS_CHOOSE in views else next(iter(views))
    first, order = views[start][0], views[start][1]["yaxis.categoryarray"]
    figure = plots.figure(
        [plots.interval_trace(first, first["y"][0])],
        max(240, 40 * len(order) + 90),
        xaxis={"title": "regret, percentage points", "zeroline": True, "zerolinewidth": 2},
        yaxis=plots.category_axis(order),
    )
    best = {tier: part["policies"][0] for tier, part in tiers.items()}
    said = "; ".join(f"{tier}: {row['policy']}, {_interval(row['regret'])}" for tier, row in best.items())
    return Plot(
        "regret", "What each policy loses",
        "Left is better; below 0 a policy does better than hindsight on half of the data. Bars: 95 % intervals over "
        "targets. Each level of supervision is judged on the merges and the policies that it allows.",
        f"Dot plot of regret by policy. The policy that loses least, in points, by supervision: {said}.",
        figure,
        [Choice("supervision", {tier: views[tier] for tier in sorted(views, key=lambda name: name != start)})],
    )  # fmt: skip


def _view(part: Part) -> tuple[dict[str, Any], dict[str, Any]]:
    rows = part["policies"]
    value, low, high = ([_scaled(row["regret"][k]) for row in rows] for k in ("value", "low", "high"))
    hover = [
        f"<b>{row['policy']}</b><br>regret {_interval(row['regret'])} points<br>merges for "
        f"{whole_percent(row['merges'])} of the targets<br>{'<br>'.join(textwrap.wrap(row['description'], 60))}"
        for row in rows
    ]
    names = [row["policy"] for row in rows]
    return {**plots.interval_dots(value, low, high, hover), "y": [names]}, {"yaxis.categoryarray": names[::-1]}


def _statement(tier: str, text: str) -> Prose:
    return Prose((f"Supervision {tier}: ", with_code(with_minus(text))))


def _scaled(value: float | None) -> float:
    return float("nan") if value is None else 100 * value


def _interval(mean: dict[str, float | None]) -> str:
    return points_interval(mean["value"], mean["low"], mean["high"])


def _policies(tier: str, part: Part) -> Table:
    return table(
        f"Supervision: {tier}; {plural(part['targets'], 'target')}, {plural(part['merges'], 'merge')}",
        part["policies"],
        {
            "policy": "policy",
            "regret [95 %], points": lambda row: number_cell(_interval(row["regret"]), row["regret"]["value"]),
            "less than never merging [95 %]": lambda row: number_cell(
                _interval(row["less_than_never"]), row["less_than_never"]["value"]
            ),
            "merges": ("merges", whole_percent),
            "what it does": lambda row: with_code(row["description"]),
        },
    )


def _quality(tiers: dict[str, Part]) -> Table:
    rows = [
        {"tier": tier, "targets": part["targets"], **part["predictor"], **part["predictor"]["leave_one_target_out"]}
        for tier, part in tiers.items()
    ]
    return table(
        "Prediction of effects on targets left out; an R² below 0 is worse than predicting the mean effect",
        rows,
        {
            "supervision": "tier",
            "targets": ("targets", number),
            "R²": ("r2", _two_digits),
            "mean error, points": ("mae", unsigned_points),
            "correlation": ("correlation", _two_digits),
            "p (permutation)": ("p", p_value),
            "R² of boosted trees": (lambda row: row.get("gradient_boosting_r2"), _two_digits),
        },
    )


def _two_digits(value: float | None) -> str:
    return number(value, 2)


def _features(tier: str, part: Part) -> Table:
    return table(
        f"Supervision: {tier}, mean effect {points(part['predictor']['mean_effect'])} points",
        part["predictor"]["features"],
        {
            "feature": "name",
            "needs": "tier",
            "change of the effect per standard deviation, points": lambda row: number_cell(
                points(row["coefficient"], 2), abs(row["coefficient"])
            ),
        },
    )
