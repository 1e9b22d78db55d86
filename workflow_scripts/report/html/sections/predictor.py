"""When does merging help: the predictor, and what following it or simpler policies would cost."""

import re
import textwrap
from typing import Any

import pandas as pd
from markupsafe import Markup

from workflow_scripts.report.html import plotting
from workflow_scripts.report.html.blocks import (
    Block,
    Choice,
    Folded,
    Plot,
    Prose,
    Section,
    Table,
    number_cell,
    text_cell,
)
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.text import number, p_value, percent, plural, points, points_interval
from workflow_scripts.selection.systems import TIERS

Part = dict[str, Any]
START = "labelled validation"


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
        blocks.append(Folded("What the predictor looks at", [_features(tier, p) for tier, p in learnt.items()]))
    return Section("predictor", "Can one know beforehand when to merge?", blocks)


def _introduction(data: RunData) -> Prose:
    text = (
        "Regret is the test accuracy that a policy loses against the best choice in hindsight; hindsight and judgement "
        "use different halves of the test data. The predictor learns the effect of a merge from what is known before "
        "it is made, and is judged on targets that it has not seen."
    )
    descriptive = [tier for tier, part in data.predictor["tiers"].items() if part["descriptive"]]
    if descriptive:
        text += (
            f" With {plural(data.predictor['targets'], 'target')} this is descriptive: under pure noise such figures "
            "look better than they are, so there is no p."
        )
    return Prose(text)


def _regret(tiers: dict[str, Part]) -> Plot:
    views = {tier: _view(part) for tier, part in tiers.items()}
    start = START if START in views else next(iter(views))
    first, order = views[start][0], views[start][1]["yaxis.categoryarray"]
    figure = plotting.figure(
        [plotting.interval_trace(first, first["y"][0])],
        max(240, 40 * len(order) + 90),
        xaxis={"title": "regret, percentage points", "zeroline": True, "zerolinewidth": 2},
        yaxis=plotting.category_axis(order),
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
        f"{percent(row['merges'], 0)} of the targets<br>{'<br>'.join(textwrap.wrap(row['description'], 60))}"
        for row in rows
    ]
    names = [row["policy"] for row in rows]
    return {**plotting.interval_dots(value, low, high, hover), "y": [names]}, {"yaxis.categoryarray": names[::-1]}


def _statement(tier: str, text: str) -> Prose:
    """Return what the predictor's file says of a tier, its code marks as HTML."""
    text = re.sub(r"-(?=\d)", "−", text)
    parts = [Markup("<b>{}</b>").format(p) if i % 2 else Markup.escape(p) for i, p in enumerate(text.split("`"))]
    return Prose(Markup("Supervision {}: {}").format(tier, Markup("").join(parts)))


def _scaled(value: float | None) -> float:
    return float("nan") if value is None else 100 * value


def _interval(mean: dict[str, float | None]) -> str:
    return points_interval(mean["value"], *(float("nan") if mean[k] is None else mean[k] for k in ("low", "high")))


def _policies(tier: str, part: Part) -> Table:
    rows = [
        [
            text_cell(row["policy"]),
            number_cell(_interval(row["regret"]), row["regret"]["value"]),
            number_cell(_interval(row["less_than_never"]), row["less_than_never"]["value"]),
            number_cell(percent(row["merges"], 0), row["merges"]),
            text_cell(row["description"]),
        ]
        for row in part["policies"]
    ]
    heads = ["policy", "regret [95 %], points", "less than never merging [95 %]", "merges", "what it does"]
    return Table(
        f"Supervision: {tier}; {plural(part['targets'], 'target')}, {plural(part['merges'], 'merge')}", heads, rows
    )


def _quality(tiers: dict[str, Part]) -> Table:
    rows = []
    for tier, part in tiers.items():
        found = part["predictor"]
        left_out = found["leave_one_target_out"]
        boosted = found.get("gradient_boosting_r2")
        rows.append(
            [
                text_cell(tier),
                number_cell(number(part["targets"]), part["targets"]),
                number_cell(number(_known(left_out["r2"]), 2), left_out["r2"]),
                number_cell(points(_known(left_out["mae"])).lstrip("+"), left_out["mae"]),
                number_cell(number(_known(left_out["correlation"]), 2), left_out["correlation"]),
                number_cell(p_value(_known(found["p"])), found["p"]),
                number_cell(number(_known(boosted), 2), boosted),
            ]
        )
    heads = [
        "supervision",
        "targets",
        "R²",
        "mean error, points",
        "correlation",
        "p (permutation)",
        "R² of boosted trees",
    ]
    caption = "Prediction of effects on targets left out; an R² below 0 is worse than predicting the mean effect"
    return Table(caption, heads, rows)


def _known(value: float | None) -> float:
    return float("nan") if value is None or pd.isna(value) else value


def _features(tier: str, part: Part) -> Table:
    rows = [
        [
            text_cell(feature["name"]),
            text_cell(feature["tier"]),
            number_cell(points(feature["coefficient"], 2), abs(feature["coefficient"])),
        ]
        for feature in part["predictor"]["features"]
    ]
    heads = ["feature", "needs", "change of the effect per standard deviation, points"]
    return Table(f"Supervision: {tier}, mean effect {points(part['predictor']['mean_effect'])} points", heads, rows)
