"""The first screen: what was run, the answer in three sentences, what to do for each target."""

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from workflow_scripts.report.html.blocks import Cell, Table, number_cell, text_cell
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.text import (
    chip,
    listed,
    number,
    percent,
    percent_interval,
    plural,
    points,
    points_interval,
    target_link,
)
from workflow_scripts.selection.systems import FEW_SHOT
from workflow_scripts.statistics.contrasts import CHOSEN

PRIMARY_TIER = "labelled validation"
RECOMMENDED = ["language", "advice", "best option", "expected accuracy [95 %]", "below own model", "confidence", "why"]
TRAINED = "trained on the same labels"
LEVELS = {
    "self": "own model",
    "average_all": "average of all other models",
    "mean_zero_shot": "mean of all other models",
    "few_shot": "best single source, fine-tuned on validation",
    "few_shot_base": "base model, fine-tuned on validation",
}
ADVICE = {
    "merge": "merge for {}",
    "single source": "take a single source for {}",
    "fine-tune needed": "fine-tune for {}",
}
VERDICTS = {
    "supported": "after correction for several comparisons the difference is supported",
    "contradicted": "after correction for several comparisons merging is worse",
    "undecided": "the data cannot tell whether there is a difference",
    "too few targets to tell": "these are too few targets to tell",
    "one seed: descriptive": "with one seed this describes and does not prove",
}


@dataclass(frozen=True)
class FirstScreen:
    """The parts of the first screen; `recommendations` has one row per target."""

    run: str
    bars: list[dict[str, object]]
    answer: list[Markup]
    recommendations: Table | None


def first_screen(data: RunData) -> FirstScreen:
    """Return the first screen."""
    answer = [_levels(data), _difference(data), _advice(data), *_training_instead(data)]
    return FirstScreen(_what_was_run(data), mean_accuracies(data), answer, _recommendations(data))


def mean_accuracies(data: RunData) -> list[dict[str, object]]:
    """Return mean accuracies over targets, the highest first: ``title``, ``value``, ``shown``, ``kind``."""
    chosen, fair = data.results.chosen_and_fair
    means = [
        ("merge chosen on validation", chosen.mean(), "merge"),
        ("best single source, chosen on validation", fair.mean(), "single"),
        *((title, data.results.baseline(name)["accuracy"].mean(), "") for name, title in LEVELS.items()),
    ]
    known = sorted((m for m in means if pd.notna(m[1])), key=lambda m: -m[1])
    return [{"title": title, "value": value, "shown": percent(value), "kind": kind} for title, value, kind in known]


def _what_was_run(data: RunData) -> str:
    run, own = data.results.settings, data.results.baseline("self")
    return (
        f"{plural(len(data.results.targets), 'target')}, {plural(len(run['locales']), 'model')} fine-tuned from "
        f"{run['base']['name']} on {len(run['labels'])} intents with {plural(len(run['seeds']), 'seed')}; "
        f"{plural(len(data.results.experiments), 'experiment')}, {plural(len(data.details), 'merge')}, judged on "
        f"{number(own['n'].sum())} test sentences in {number(own['clusters'].sum())} clusters."
    )


def _levels(data: RunData) -> Markup:
    mean = {name: data.results.baseline(name)["accuracy"].mean() for name in ("self", "mean_zero_shot")}
    fair = data.results.baseline("best_zero_shot_val")["accuracy"].mean()
    return Markup(
        "A target’s own model reaches <b>{}</b> on average, another language’s model {}, and the best of those, "
        "chosen on validation data, <b>{}</b>."
    ).format(percent(mean["self"]), percent(mean["mean_zero_shot"]), percent(fair))


def _difference(data: RunData) -> Markup:
    chosen, fair = data.results.chosen_and_fair
    difference = chosen - fair
    counts = f"better for {int((difference > 0).sum())} of {plural(len(difference), 'target')}"
    worse = f"worse for {int((difference < 0).sum())}"
    tested = primary_contrast(data)
    if tested is None:
        sure = " This run cannot test the difference."
    else:
        interval = points_interval(tested["effect"], tested["low"], tested["high"])
        sure = f" 95 % interval over targets: {interval}; {VERDICTS[tested['verdict']]}."
    return Markup(
        "The merge chosen on validation data reaches <b>{}</b>, <b>{} points</b> against that best single model; "
        "it is {}, {}.{}"
    ).format(percent(chosen.mean()), points(difference.mean()), counts, worse, sure)


def _advice(data: RunData) -> Markup:
    rows = primary_rows(data)
    if rows.empty:
        low, high = data.overview["effect_best"].min(), data.overview["effect_best"].max()
        return Markup(
            "Merging among the chosen sources (merge − best of its own sources, an oracle) changed accuracy by "
            "<b>{} to {} points</b> on average, depending on the experiment."
        ).format(points(low), points(high))
    counts = rows["advice"].value_counts()
    parts = [text.format(plural(int(counts[name]), "target")) for name, text in ADVICE.items() if name in counts]
    return Markup(
        "What to do, as far as this run can tell: <b>{}</b>. The table says why, and how sure that is."
    ).format(listed(parts))


def _training_instead(data: RunData) -> list[Markup]:
    """Return what the labels that choose would buy by training on them, if the run tried it."""
    found = data.effect(FEW_SHOT, CHOSEN)
    if found is None:
        return []
    reached = data.results.baseline(FEW_SHOT)["accuracy"].mean()
    text = Markup(
        "If those validation labels may be trained on instead, the best single source fine-tuned on them reaches "
        "<b>{}</b>. Merge − that: {} points, better for {}, worse for {}."
    )
    interval = points_interval(found["effect"], found["low"], found["high"])
    return [text.format(percent(reached), interval, number(found["improved"]), number(found["hurt"]))]


def primary_contrast(data: RunData) -> pd.Series | None:
    """Return the primary comparison of merge and best single source, both chosen on validation data."""
    table = data.statistics
    if table.empty:
        return None
    found = table[(table["family"] == "primary") & (table["tier"] == PRIMARY_TIER)]
    return None if found.empty else found.iloc[0]


def primary_rows(data: RunData) -> pd.DataFrame:
    """Return one recommendation per target: the one that is shown first."""
    rows = data.recommendations
    if "primary" in rows:
        rows = rows[rows["primary"].astype(str).str.lower().isin({"true", "1"})]
    return rows.drop_duplicates("target")


def _recommendations(data: RunData) -> Table | None:
    rows = primary_rows(data)
    if rows.empty:
        return None
    trained = bool(rows["few_shot_accuracy"].notna().any())
    heads = ["target", *RECOMMENDED[:-1], *([TRAINED] if trained else []), RECOMMENDED[-1]]
    order = {target: i for i, target in enumerate(data.results.targets)}
    ordered = rows.sort_values("target", key=lambda column: column.map(order))
    caption = (
        f"What to do for each target with {listed(list(dict.fromkeys(rows['tier'])))} data and without training data. "
        "Chosen on validation data, expected accuracy judged on test data. Other levels of supervision: on its page."
    )
    cells = [
        [
            Cell(target_link(row["target"]), row["target"]),
            text_cell(row["language"]),
            *recommendation_cells(data, row, trained),
        ]
        for _, row in ordered.iterrows()
    ]
    return Table(caption, heads, cells, filtered=True)


def recommendation_cells(data: RunData, row: pd.Series, trained: bool = False) -> list[Cell]:
    """Return the cells of one recommendation; their heads are `RECOMMENDED` without the language, and `TRAINED`."""
    accuracy = percent_interval(row["expected_accuracy"], row["low"], row["high"])
    return [
        Cell(chip(row["advice"]), row["advice"]),
        text_cell(data.results.titles.get(row["what"], row["what"])),
        number_cell(accuracy, row["expected_accuracy"]),
        number_cell(points(row["gap_to_self"]).lstrip("+"), row["gap_to_self"]),
        text_cell(row["confidence"]),
        *([number_cell(percent(row["few_shot_accuracy"]), row["few_shot_accuracy"])] if trained else []),
        text_cell(with_titles(data, row["reason"])),
    ]


def with_titles(data: RunData, text: str) -> str:
    """Return a text with the titles of experiments in the place of their names."""
    for name in sorted(data.results.titles, key=len, reverse=True):
        text = text.replace(name, data.results.titles[name])
    return text.replace(" %", "\u202f%")
