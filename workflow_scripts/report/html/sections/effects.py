"""Did merging pay: effects per target with intervals, and what is significant."""

import pandas as pd

from workflow_scripts.report.html import plotting
from workflow_scripts.report.html.blocks import (
    Block,
    Cell,
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
from workflow_scripts.report.html.text import chip, number, p_value, plural, points, points_interval

BASELINE = "best_zero_shot_val"
CHOSEN = "chosen on validation data, per target"


def section(data: RunData) -> Section:
    """Return the section with the forest plot and the tests."""
    blocks: list[Block] = [_forest(data)]
    if not data.statistics.empty:
        primary = data.statistics[data.statistics["family"] == "primary"]
        blocks += [_explanation(data)]
        if len(primary):
            blocks += [
                _tests(data, primary, "Primary comparisons: one per level of supervision, corrected together (Holm)")
            ]
        across = data.statistics[(data.statistics["family"] == "exploratory") & (data.statistics["target"] == "")]
        if len(across):
            title = "Exploratory comparisons across targets, corrected for their number (Benjamini–Hochberg)"
            blocks += [Folded(f"{title}: {len(across)}", [_tests(data, across, title, filtered=True)])]
    return Section("effects", "Did merging pay?", blocks)


def _explanation(data: RunData) -> Prose:
    mde = data.statistics["mde"].dropna() if "mde" in data.statistics else pd.Series(dtype=float)
    text = (
        "“Supported” means better after correction for the number of comparisons, “contradicted” worse, "
        "“undecided” that the data cannot tell."
    )
    if len(mde):
        text += (
            " The detectable effect is the difference that a run of this size finds with a power of 80 %: "
            "smaller true effects mostly stay undecided."
        )
    if data.results.one_seed:
        text += " With one seed all of this is descriptive: training noise is not in the intervals."
    return Prose(text)


def _tests(data: RunData, rows: pd.DataFrame, caption: str, filtered: bool = False) -> Table:
    heads = ["comparison", "supervision", "merge", "effect [95 %], points", "targets", "p", "p adjusted",
             "detectable", "better / worse (chance)", "verdict"]  # fmt: skip
    return Table(
        caption, heads, [_test_cells(row, data.results.titles) for _, row in rows.iterrows()], filtered=filtered
    )


def _test_cells(row: pd.Series, titles: dict[str, str]) -> list[Cell]:
    chance = "" if pd.isna(row["improved_chance_low"]) else (
        f" ({number(row['improved_chance_low'])}–{number(row['improved_chance_high'])})"
    )  # fmt: skip
    return [
        text_cell(row["contrast"]),
        text_cell(row["tier"]),
        text_cell(titles.get(row["experiment"], row["experiment"])),
        number_cell(points_interval(row["effect"], row["low"], row["high"]), row["effect"]),
        number_cell(number(row["targets"]), row["targets"]),
        number_cell(p_value(row["p"]), row["p"]),
        number_cell(p_value(row["p_adjusted"]), row["p_adjusted"]),
        number_cell(points(row["mde"]).lstrip("+"), row["mde"]),
        number_cell(f"{number(row['improved'])} / {number(row['hurt'])}{chance}", row["improved"]),
        text_cell(chip(row["verdict"])),
    ]


def effects_per_target(data: RunData, experiment: str | None) -> pd.DataFrame:
    """Return ``effect``, ``low``, ``high``, ``experiment`` per target, of one experiment or the chosen ones."""
    fair = data.results.baseline(BASELINE)["accuracy"]
    rows = {}
    for target in data.results.targets:
        name = experiment or data.results.chosen[target]
        merged = data.results.of_experiment(name)
        if target not in merged.index:
            continue
        tested = data.effect(BASELINE, name, target)
        effect = merged.loc[target, "accuracy"] - fair[target]
        low, high = (None, None) if tested is None else (tested["low"], tested["high"])
        rows[target] = {"effect": effect, "low": low, "high": high, "experiment": name}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"effect": float, "low": float, "high": float})


def _forest(data: RunData) -> Plot:
    chosen, fair = data.results.chosen_and_fair
    order = list((chosen - fair).sort_values(kind="stable").index)
    options = {CHOSEN: None} | {data.results.titles[name]: name for name in data.results.experiments}
    series = {title: effects_per_target(data, name).reindex(order) for title, name in options.items()}
    frames = {title: _restyle(data, frame) for title, frame in series.items()}
    figure = plotting.figure(
        [plotting.interval_trace(frames[CHOSEN], order)],
        max(260, 24 * len(order) + 90),
        xaxis={"title": "merge − single, percentage points", "zeroline": True, "zerolinewidth": 2},
        yaxis=plotting.category_axis(order),
    )
    difference = chosen - fair
    return Plot(
        "forest", "Merge against the best single source, both chosen on validation data",
        "Right of the line the merge is better. Bars: 95 % intervals of the paired difference on the same sentences, "
        "clusters respected; they take the trained models as given.",
        f"Forest plot of {plural(len(order), 'target')}. The merge is better for {(difference > 0).sum()}, worse for "
        f"{(difference < 0).sum()}; the differences go from {points(difference.min())} to {points(difference.max())} "
        f"points and average {points(difference.mean())}.",
        figure,
        [Choice("merge", {title: (update, {}) for title, update in frames.items()})],
        table=_table(data, series[CHOSEN][::-1]),
    )  # fmt: skip


def _restyle(data: RunData, frame: pd.DataFrame) -> dict[str, list]:
    effect, low, high = ((100 * frame[c]).round(3).tolist() for c in ("effect", "low", "high"))
    return plotting.interval_dots(effect, low, high, [_hover(data, target, row) for target, row in frame.iterrows()])


def _hover(data: RunData, target: object, row: pd.Series) -> str:
    if pd.isna(row["effect"]):
        return ""
    own = data.results.baseline("self").loc[target]
    return (
        f"<b>{data.language(str(target))['language']} ({target})</b><br>"
        f"{points_interval(row['effect'], row['low'], row['high'])} points<br>"
        f"{data.results.titles[row['experiment']]}<br>n = {own['n']:.0f} in {own['clusters']:.0f} clusters"
    )


def _table(data: RunData, frame: pd.DataFrame) -> Table:
    rows = [
        [
            text_cell(target),
            text_cell(data.results.titles[row["experiment"]]),
            number_cell(points_interval(row["effect"], row["low"], row["high"]), row["effect"]),
        ]
        for target, row in frame.iterrows()
    ]
    return Table("Merge − best single source in percentage points", ["target", "merge", "difference [95 %]"], rows)
