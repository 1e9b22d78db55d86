"""Did merging pay: effects per target with intervals, and what is significant."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from workflow_scripts.core.words import (
    number,
    percent,
    percent_interval,
    plural,
    points,
    points_interval,
)
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import (
    Block,
    Choice,
    Plot,
    Prose,
    Section,
    Table,
    number_cell,
    table,
)
from workflow_scripts.report.marks import Text, marked
from workflow_scripts.report.run_data import RunData
from workflow_scripts.report.sections.comparisons import comparisons, interval_cell
from workflow_scripts.results.tables import cross_lingual_summary
from workflow_scripts.selection.systems import BEST_SINGLE, BEST_SINGLE_ORACLE, SELF, column

CHOSEN = "chosen on validation data, per target"


def section(data: RunData) -> Section:
    """Return the section with the forest plot and the tests."""
    blocks: list[Block] = [_forest(data), Prose(_by_sign(data))]
    if not data.statistics.empty:
        blocks += comparisons(data)
    return Section("effects", "Did merging pay against the best single source?", blocks)


def _by_sign(data: RunData) -> Text:
    difference = data.differences
    groups = {
        "better": difference[difference > 0].sort_values(ascending=False),
        "worse": difference[difference < 0].sort_values(),
        "equal": difference[difference == 0],
    }
    named = {sign: [f"{t} ({points(v)})" for t, v in part.items()] for sign, part in groups.items()}
    return marked(
        "Against the best single source the chosen merge is better for {}; worse for {}; equal for {}.",
        *(", ".join(names) or "none" for names in named.values()),
    )


def effects_per_target(data: RunData, experiment: str | None) -> pd.DataFrame:
    """Return ``effect``, ``low``, ``high``, ``experiment`` per target, of one experiment or the chosen ones."""
    fair = data.results.baseline(BEST_SINGLE)["accuracy"]
    rows = {}
    for target in data.results.targets:
        name = experiment or data.results.chosen[target]
        merged = data.results.of_experiment(name)
        if target not in merged.index:
            continue
        tested = data.effect(BEST_SINGLE, name, target)
        effect = merged.loc[target, "accuracy"] - fair[target]
        low, high = (None, None) if tested is None else (tested["low"], tested["high"])
        rows[target] = {"effect": effect, "low": low, "high": high, "experiment": name}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"effect": float, "low": float, "high": float})


def _forest(data: RunData) -> Plot:
    difference = data.differences
    order = list(difference.sort_values(kind="stable").index)
    options = {CHOSEN: None} | {data.results.titles[name]: name for name in data.results.experiments}
    series = {title: effects_per_target(data, name).reindex(order) for title, name in options.items()}
    frames = {title: _restyle(data, frame) for title, frame in series.items()}
    figure = plots.figure(
        [plots.interval_trace(frames[CHOSEN], order)],
        max(260, 24 * len(order) + 90),
        xaxis={"title": "merge − single, percentage points", "zeroline": True, "zerolinewidth": 2},
        yaxis=plots.category_axis(order),
    )
    return Plot(
        "forest", "Merge against the best single source, both chosen on validation data",
        "Right of the line the merge is better. Bars: 95 % intervals of the paired difference on the same sentences, "
        "clusters respected; they take the trained models as given.",
        f"Forest plot of {plural(len(order), 'target')}. The merge is better for {(difference > 0).sum()}, worse for "
        f"{(difference < 0).sum()}; the differences go from {points(difference.min())} to {points(difference.max())} "
        f"points and average {points(difference.mean())}.",
        figure,
        [Choice("merge", {title: (update, {}) for title, update in frames.items()})],
        table=_per_target(data, series[CHOSEN]),
        picture="key_performance_comparison.png",
    )  # fmt: skip


def _restyle(data: RunData, frame: pd.DataFrame) -> dict[str, list]:
    effect, low, high = ((100 * frame[c]).round(3).tolist() for c in ("effect", "low", "high"))
    return plots.interval_dots(effect, low, high, [_hover(data, target, row) for target, row in frame.iterrows()])


def _hover(data: RunData, target: object, row: pd.Series) -> str:
    if pd.isna(row["effect"]):
        return ""
    own = data.results.baseline(SELF).loc[target]
    return (
        f"<b>{data.named(str(target))}</b><br>"
        f"{points_interval(row['effect'], row['low'], row['high'])} points<br>"
        f"{data.results.titles[row['experiment']]}<br>n = {own['n']:.0f} in {own['clusters']:.0f} clusters"
    )


def _per_target(data: RunData, effects: pd.DataFrame) -> Table:
    """Return where each target stands: its own model, the best single source, the chosen merge, their difference."""
    rows = [row | effects.loc[row["target"]].to_dict() for row in _summary(data) if row["target"] in effects.index]
    return table(
        "Each target: accuracies with intervals, and merge − best single source in percentage points",
        rows,
        {
            "target": "target",
            "language": "language",
            "n (clusters)": lambda row: number_cell(f"{number(row['n'])} ({number(row['clusters'])})", row["n"]),
            "own model": lambda row: _accuracy_cell(row, SELF, data.converged_mark(row["target"])),
            "best single source": lambda row: _accuracy_cell(row, BEST_SINGLE),
            "best of all (oracle)": (column(BEST_SINGLE_ORACLE), percent),
            "ZS/self": ("zs_self_ratio", lambda value: number(value, 2)),
            "merge": lambda row: data.results.titles[row["experiment"]],
            "its accuracy": lambda row: _accuracy_cell(row, "chosen_merge"),
            "difference [95 %]": lambda row: interval_cell(row["effect"], row["low"], row["high"]),
        },
    )


def _summary(data: RunData) -> Sequence[dict[str, Any]]:
    return cross_lingual_summary(data.results).to_dict("records")


def _accuracy_cell(row: dict[str, Any], name: str, mark: str = "") -> Any:
    return number_cell(percent_interval(row[name], row[f"{name}_low"], row[f"{name}_high"]) + mark, row[name])
