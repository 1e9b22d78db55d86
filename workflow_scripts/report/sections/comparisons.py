"""What is significant: the planned comparisons, the exploratory ones, and what counts of better targets are worth."""

from typing import Any

import pandas as pd

from workflow_scripts.core.words import is_unknown, number, p_value, plural, points, points_interval, unsigned_points
from workflow_scripts.report.blocks import Block, Cell, Column, Folded, Items, Prose, Table, number_cell, table
from workflow_scripts.report.marks import Link, Remark, Text, Verdict, marked, with_code
from workflow_scripts.report.run_data import RunData
from workflow_scripts.selection.systems import BEST_SINGLE, ENGLISH, ORACLE
from workflow_scripts.statistics.contrasts import CHOSEN, EXPLORATORY, PRIMARY
from workflow_scripts.statistics.verdicts import BETTER, CANNOT_TELL, LEVEL, TOO_FEW


def comparisons(data: RunData) -> list[Block]:
    """Return what was tested: the planned comparisons one by one, the others counted, and what counts are worth."""
    return [*_planned(data), *_exploratory(data), Prose(_counts(data))]


def _planned(data: RunData) -> list[Block]:
    primary = data.across_targets(PRIMARY)
    blocks: list[Block] = [_explanation(data)]
    if len(primary):
        title = "Primary comparisons: one per level of supervision, corrected together (Holm)"
        blocks.append(_tests(data, primary, title))
    if len(beside := data.beside_primary):
        title = "The same merges against other single models, and against training (exploratory)"
        blocks.append(_tests(data, beside, title))
    missing = [
        f"Not formed: {contrast['contrast']} ({contrast['tier']}), because {contrast['reason']}."
        for contrast in data.comparison_facts["not_formed"]
    ]
    if ENGLISH in {*primary["baseline"], *data.beside_primary["baseline"]}:
        pivot = data.results.settings["pivot"]
        missing.append(f"{pivot} is left out of the comparisons with `{ENGLISH}`: it is that model’s own language.")
    return [*blocks, Items(list(map(with_code, missing)))] if missing else blocks


def _explanation(data: RunData) -> Prose:
    seeds = (
        " With one seed all of this is descriptive: training noise is not in the intervals."
        if data.results.one_seed
        else ""
    )
    return Prose(
        marked(
            "*Better* and *worse* are so after correction for the number of comparisons; *no relevant difference*: it "
            "is surely smaller than {} points in both directions (two one-sided tests, corrected as well); else the "
            "data *cannot tell*. *Detectable*: the difference that a run of this size finds with a power of 80 %. "
            "*Chance*: for how many targets the merge would be better, in 95 of 100 cases, if the sign of every "
            "target’s difference were a coin. Whether a difference is more than noise is a paired question: these "
            "tests answer it, not the overlap of two intervals. *Over targets and seeds*: an interval for other "
            "seeds as well. All intervals are for these intents, which all targets share.{}",
            margin_in_points(data),
            seeds,
        )
    )


def _exploratory(data: RunData) -> list[Block]:
    across = data.across_targets(EXPLORATORY)
    if across.empty:
        return []
    contrasts = [
        {
            "contrast": name,
            "rows": rows,
            "significant": rows[rows["p_adjusted"] <= LEVEL],
            "others": rows[rows["p_adjusted"] > LEVEL],
        }
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
            "no relevant difference": (lambda c: (c["others"]["p_equivalent_adjusted"] <= LEVEL).sum(), number),
            "cannot tell": (lambda c: (~(c["others"]["p_equivalent_adjusted"] <= LEVEL)).sum(), number),
            f"no gain of {margin_in_points(data)} or more": (
                lambda c: (c["rows"]["p_no_gain_adjusted"] <= LEVEL).sum(),
                number,
            ),
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
        "effect [95 %], points": lambda row: interval_cell(row["effect"], row["low"], row["high"]),
        "over targets and seeds": lambda row: _spread(row["seed_low"], row["seed_high"]),
        "over families": lambda row: _spread(row["family_low"], row["family_high"]),
        "targets": ("targets", number),
        "p": ("p", p_value),
        "p adjusted": ("p_adjusted", p_value),
        "detectable": ("mde", unsigned_points),
        "better / worse (chance)": lambda row: number_cell(_better_worse(row), row["improved"]),
        "verdict": lambda row: (Verdict(row["verdict"]), *map(Remark, ruled_out(row, data))),
    }
    return table(caption, [row for _, row in rows.iterrows()], columns)


def margin_in_points(data: RunData) -> str:
    """Return the difference below which nothing is relevant, in points."""
    return f"{100 * data.results.settings['margin']:g}"


def ruled_out(row: Any, data: RunData) -> list[str]:
    """Return what else a comparison shows: that there is no gain of the margin or more."""
    if not row["p_no_gain_adjusted"] <= LEVEL:
        return []
    said = {BETTER: "by less than {} points"} | dict.fromkeys((CANNOT_TELL, TOO_FEW), "no gain of {} points or more")
    return [said[row["verdict"]].format(margin_in_points(data))] if row["verdict"] in said else []


def _spread(low: Any, high: Any) -> str:
    return "" if is_unknown(low) else f"{points(low)} to {points(high)}"


def _better_worse(row: pd.Series) -> str:
    counts = f"{number(row['improved'])} / {number(row['hurt'])}"
    low, high = row["improved_chance_low"], row["improved_chance_high"]
    return counts if is_unknown(low) else f"{counts} ({number(low)}–{number(high)})"


def _counts(data: RunData) -> Text:
    """Return what counts of better targets are worth; the first is that of the merge that validation data choose."""
    tested, best = data.effect(BEST_SINGLE, CHOSEN), data.comparison_facts["best_on_test"]
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


def interval_cell(effect: Any, low: Any, high: Any) -> Cell:
    """Return a cell with a difference and its interval."""
    return number_cell(points_interval(effect, low, high), effect)
