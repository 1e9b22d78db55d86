"""When does merging help: the predictor, and what following it or simpler policies would cost."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from workflow_scripts.analysis.html import plotting
from workflow_scripts.analysis.html.blocks import Block, Folded, Plot, Prose, Section, Table, number_cell, text_cell
from workflow_scripts.analysis.html.run_data import RunData
from workflow_scripts.analysis.html.text import (
    number,
    p_value,
    percent,
    plural,
    points,
    points_interval,
)

Part = dict[str, Any]


def section(data: RunData) -> Section:
    """Return the section on the predictor, empty where the run has none."""
    tiers: dict[str, Part] = data.predictor.get("tiers", {})
    if not tiers:
        return Section("predictor", "Predictor", [])
    blocks: list[Block] = [_introduction(data), _regret(tiers)]
    blocks += [Prose(Markup("<b>{}.</b> {}").format(tier, part["statement"])) for tier, part in tiers.items()]
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
    traces = []
    names = list(dict.fromkeys(row["policy"] for part in tiers.values() for row in part["policies"]))
    for i, (tier, part) in enumerate(tiers.items()):
        rows = part["policies"]
        value = [100 * row["regret"]["value"] for row in rows]
        low, high = ([_scaled(row["regret"][k]) for row in rows] for k in ("low", "high"))
        traces.append(
            go.Scatter(
                x=value,
                y=[row["policy"] for row in rows],
                name=tier,
                mode="markers",
                marker={"size": 10, "color": plotting.PALETTE[i], "symbol": plotting.SYMBOLS[i]},
                error_x={"type": "data", "symmetric": False, "thickness": 2, "width": 4,
                         "array": [h - v for h, v in zip(high, value, strict=True)],
                         "arrayminus": [v - w for w, v in zip(low, value, strict=True)]},
                text=[f"{row['description']}<br>merges {percent(row['merges'], 0)} of the targets" for row in rows],
                hovertemplate=f"<b>%{{y}}</b> ({tier})<br>regret %{{x:.1f}} points<br>%{{text}}<extra></extra>",
            )
        )  # fmt: skip
    figure = plotting.figure(
        traces,
        max(280, (18 * len(tiers) + 26) * len(names) + 110),
        xaxis={"title": "regret, percentage points", "zeroline": True, "zerolinewidth": 2},
        yaxis=plotting.category_axis(names, autorange="reversed"),
        scattermode="group",
    )
    best = {tier: part["policies"][0] for tier, part in tiers.items()}
    said = "; ".join(f"{tier}: {row['policy']}, {points(row['regret']['value'])}" for tier, row in best.items())
    return Plot(
        "regret", "What each policy loses",
        "Left is better. Bars: 95 % intervals over targets. A level of supervision has the policies that it allows; "
        "each level is judged on its own merges, so compare policies within one level.",
        f"Dot plot of regret by policy. The policy that loses least, by supervision: {said} points.",
        figure,
    )  # fmt: skip


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
