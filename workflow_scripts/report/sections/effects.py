"""Did merging pay: effects per target with intervals, and what is significant."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from workflow_scripts.core.words import (
    is_unknown,
    number,
    p_value,
    percent,
    percent_interval,
    plural,
    points,
    points_interval,
    unsigned_points,
)
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import (
    Block,
    Choice,
    Column,
    Folded,
    Items,
    Link,
    Plot,
    Prose,
    Section,
    Table,
    Text,
    Verdict,
    marked,
    number_cell,
    table,
)
from workflow_scripts.report.run_data import RunData
from workflow_scripts.results.tables import cross_lingual_summary
from workflow_scripts.selection.systems import BEST_SINGLE, BEST_SINGLE_ORACLE, ORACLE, SELF, column
from workflow_scripts.statistics.contrasts import EXPLORATORY, PRIMARY
from workflow_scripts.statistics.verdicts import LEVEL

CHOSEN = "chosen on validation data, per target"


def section(data: RunData) -> Section:
    """Return the section with the forest plot and the tests."""
    blocks: list[Block] = [_forest(data), Prose(_by_sign(data))]
    if not data.statistics.empty:
        blocks += comparisons(data)
    return Section("effects", "Did merging pay?", blocks)


def comparisons(data: RunData) -> list[Block]:
    """Return what was tested: the planned comparisons one by one, the others counted, and what counts are worth."""
    return [*_planned(data), *_exploratory(data), Prose(_counts(data))]


def _planned(data: RunData) -> list[Block]:
    primary = data.across_targets(PRIMARY)
    blocks: list[Block] = [_explanation(data)]
    if len(primary):
        title = "Primary comparisons: one per level of supervision, corrected together (Holm)"
        blocks.append(_tests(data, primary, title))
    missing = [
        f"Not formed: {contrast['contrast']} ({contrast['tier']}), because {contrast['reason']}."
        for contrast in data.comparison_facts["not_formed"]
    ]
    return [*blocks, Items(missing)] if missing else blocks


def _explanation(data: RunData) -> Prose:
    seeds = (
        " With one seed all of this is descriptive: training noise is not in the intervals."
        if data.results.one_seed
        else ""
    )
    return Prose(
        marked(
            "*Supported* means better after correction for the number of comparisons, *contradicted* worse, "
            "*undecided* that the data cannot tell. *Detectable*: the difference that a run of this size finds with a "
            "power of 80 %; smaller true effects mostly stay undecided. *Chance*: for how many targets the merge would "
            "be better, in 95 of 100 cases, if the sign of every target’s difference were a coin. Whether a "
            "difference is more than noise is a paired question: these tests answer it, not the overlap of two "
            "intervals.{}",
            seeds,
        )
    )


def _exploratory(data: RunData) -> list[Block]:
    across = data.across_targets(EXPLORATORY)
    if across.empty:
        return []
    contrasts = [
        {"contrast": name, "rows": rows, "significant": rows[rows["p_adjusted"] <= LEVEL]}
        for name, rows in across[across["tier"] != ORACLE].groupby("contrast", sort=False)
    ]
    overview = table(
        "Exploratory comparisons across targets: of how many merges a corrected p (Benjamini–Hochberg) is at most "
        f"{LEVEL}; differences in points",
        contrasts,
        {
            "comparison": "contrast",
            "merges": (lambda c: len(c["rows"]), number),
            "significantly better": (lambda c: (c["significant"]["effect"] > 0).sum(), number),
            "significantly worse": (lambda c: (c["significant"]["effect"] < 0).sum(), number),
            "not shown": (lambda c: len(c["rows"]) - len(c["significant"]), number),
            "range of differences": lambda c: (
                f"{points(c['rows']['effect'].min())} to {points(c['rows']['effect'].max())}"
            ),
            "median detectable": (lambda c: c["rows"]["mde"].median(), unsigned_points),
        },
    )
    title = "Every exploratory comparison across targets"
    return [overview, Folded(f"{title}: {len(across)}", [_tests(data, across, title)], file="statistics.csv")]


def _tests(data: RunData, rows: pd.DataFrame, caption: str) -> Table:
    titles = data.results.titles
    columns: dict[str, Column] = {
        "comparison": "contrast",
        "supervision": "tier",
        "merge": lambda row: titles.get(row["experiment"], row["experiment"]),
        "effect [95 %], points": lambda row: _interval_cell(row["effect"], row["low"], row["high"]),
        "over seeds": lambda row: _spread(row["seed_low"], row["seed_high"]),
        "over families": lambda row: _spread(row["family_low"], row["family_high"]),
        "targets": ("targets", number),
        "p": ("p", p_value),
        "p adjusted": ("p_adjusted", p_value),
        "detectable": ("mde", unsigned_points),
        "better / worse (chance)": lambda row: number_cell(_better_worse(row), row["improved"]),
        "verdict": lambda row: Verdict(row["verdict"]),
    }
    return table(caption, [row for _, row in rows.iterrows()], columns)


def _interval_cell(effect: Any, low: Any, high: Any) -> Any:
    return number_cell(points_interval(effect, low, high), effect)


def _spread(low: Any, high: Any) -> str:
    return "" if is_unknown(low) else f"{points(low)} to {points(high)}"


def _better_worse(row: pd.Series) -> str:
    counts = f"{number(row['improved'])} / {number(row['hurt'])}"
    low, high = row["improved_chance_low"], row["improved_chance_high"]
    return counts if is_unknown(low) else f"{counts} ({number(low)}–{number(high)})"


def _counts(data: RunData) -> Text:
    """Return what counts of better targets are worth; the first is that of the primary comparison."""
    tested, best = data.primary_contrast, data.comparison_facts["best_on_test"]
    said: list[Text] = ["Counts mislead where several merges compete."]
    if tested is not None:
        said.append(
            f" Chosen on validation data, the merge is better than the best single model for "
            f"{number(tested['improved'])} of {plural(int(tested['targets']), 'target')} (by chance "
            f"{number(tested['improved_chance_low'])}–{number(tested['improved_chance_high'])})."
        )
    if best:
        low, high = best["improved_by_chance"]
        said.append(
            marked(
                " The best of {} merges *on the test data* (an oracle) is better for {}, by {} points on average; if "
                "the sign of each target’s differences were a coin, it would be better for {}–{}, by {} points.",
                number(best["merges"]),
                number(best["improved"]),
                points(best["effect"]),
                number(low),
                number(high),
                points(best["chance"]),
            )
        )
    return (*said, " Every comparison, also per target: ", Link("statistics.csv", "statistics.csv"), ".")


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
            "own model": lambda row: _accuracy_cell(row, SELF),
            "best single source": lambda row: _accuracy_cell(row, BEST_SINGLE),
            "best of all (oracle)": (column(BEST_SINGLE_ORACLE), percent),
            "ZS/self": ("zs_self_ratio", lambda value: number(value, 2)),
            "merge": lambda row: data.results.titles[row["experiment"]],
            "its accuracy": lambda row: _accuracy_cell(row, "chosen_merge"),
            "difference [95 %]": lambda row: _interval_cell(row["effect"], row["low"], row["high"]),
        },
    )


def _summary(data: RunData) -> Sequence[dict[str, Any]]:
    return cross_lingual_summary(data.results).to_dict("records")


def _accuracy_cell(row: dict[str, Any], name: str) -> Any:
    return number_cell(percent_interval(row[name], row[f"{name}_low"], row[f"{name}_high"]), row[name])
