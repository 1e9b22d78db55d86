"""A target's page: its sources, what each merge did, which intents are confused, what merging fixed and broke."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from workflow_scripts.report.html.blocks import Cell, Table, by_number, number_cell, text_cell
from workflow_scripts.report.html.confusion import ConfusionMap, confusion_map, intent_table
from workflow_scripts.report.html.examples import Changes, changes
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.sections.effects import BASELINE
from workflow_scripts.report.html.sections.first import RECOMMENDED, recommendation_cells
from workflow_scripts.report.html.text import number, percent, percent_interval, points_interval, target_link

MOST_SOURCES = 60  # in a target's table, besides those that an experiment chose
LEVELS = {
    "self": "its own model",
    "best_zero_shot": "best other model (oracle: chosen on the test data)",
    "best_zero_shot_val": "best other model, chosen on validation data",
    "english": "the pivot’s model",
    "average_all": "average of all other models",
    "mean_zero_shot": "mean of all other models",
    "few_shot": "best other model, fine-tuned on the target’s validation data",
    "few_shot_base": "the base model, fine-tuned on the target’s validation data",
}
CONTROL = "random"  # the measure that says nothing of languages


@dataclass(frozen=True)
class TargetPage:
    """What the page of a target shows."""

    target: str
    language: dict[str, Any]
    chosen: str
    single: str
    clusters: int
    neighbours: list[str]
    advice: Table | None
    levels: Table
    sources: Table
    merges: Table
    intents: Table
    confusion: ConfusionMap
    changes: Changes


def target_page(data: RunData, target: str) -> TargetPage:
    """Return the page of one target."""
    results = data.results
    return TargetPage(
        target=target,
        language=data.language(target),
        chosen=results.titles[data.results.chosen[target]],
        single=str(results.baseline(BASELINE).loc[target, "model"]),
        clusters=data.examples[target]["cluster"].nunique(),
        neighbours=_neighbours(results.targets, target),
        advice=_advice(data, target),
        levels=_levels(data, target),
        sources=_sources(data, target),
        merges=_merges(data, target),
        intents=intent_table(data, target),
        confusion=confusion_map(data, target),
        changes=changes(data, target),
    )


def _neighbours(targets: list[str], target: str) -> list[str]:
    """Return the target before and the one after."""
    place = targets.index(target)
    return [targets[i] for i in (place - 1, place + 1) if 0 <= i < len(targets)]


def interval_glyph(value: float, low: float, high: float) -> Markup:
    """Return a drawing of an accuracy with its interval on a scale from 0 to 1."""
    if pd.isna(value):
        return Markup("")
    return Markup(
        '<svg class="glyph" viewBox="0 0 100 10" role="img" aria-label="{}"><path d="M0 5H100" class="axis"/>'
        '<path d="M{:.1f} 5H{:.1f}" class="range"/><circle cx="{:.1f}" cy="5" r="3"/></svg>'
    ).format(percent_interval(value, low, high), 100 * low, 100 * high, 100 * value)


def _accuracy_cells(row: Any) -> list[Cell]:
    shown = percent_interval(row["accuracy"], row["low"], row["high"])
    glyph = interval_glyph(row["accuracy"], row["low"], row["high"])
    return [number_cell(shown, row["accuracy"]), Cell(glyph, row["accuracy"])]


def _advice(data: RunData, target: str) -> Table | None:
    rows = data.recommendations[data.recommendations["target"] == target]
    if rows.empty:
        return None
    heads = ["what one has", *RECOMMENDED[1:]]
    cells = [[text_cell(row["tier"]), *recommendation_cells(data, row)] for _, row in rows.iterrows()]
    return Table("Advice by the supervision that one has", heads, cells)


def _levels(data: RunData, target: str) -> Table:
    rows = []
    chosen = data.results.chosen[target]
    mean = data.results.mean
    names = mean.loc[(mean["target"] == target) & (mean["experiment"] == ""), "system"]
    named = {name: (LEVELS.get(name, name), data.results.baseline(name)) for name in names}
    named["merge"] = (
        f"merge chosen on validation data: {data.results.titles[chosen]}",
        data.results.of_experiment(chosen),
    )
    for name, (title, table) in named.items():
        row = table.loc[target]
        if pd.notna(row["accuracy"]):
            model = f" ({row['model']})" if isinstance(row["model"], str) and name != "self" else ""
            rows.append([text_cell(title + model), *_accuracy_cells(row)])
    rows = by_number(rows, 1, descending=True)
    return Table("Where the target stands", ["system", "test accuracy [95 %]", "0 to 100 %"], rows)


def _sources(data: RunData, target: str) -> Table:
    known = data.results.settings["measures"]
    measures = [name for name in data.similarities if known[name] != CONTROL]
    used = _uses(data, target)
    rows = []
    for source in data.results.settings["locales"]:
        if source == target:
            continue
        row, validation = data.cells.loc[(source, target)], data.results.matrix_validation.loc[source, target]
        link = target_link(source) if source in data.results.targets else source
        rows.append(
            [
                Cell(link, source),
                text_cell(data.language(source)["language"]),
                *_accuracy_cells(row),
                number_cell(percent(validation), validation),
                *(_similarity(data.similarities[m], target, source) for m in measures),
                number_cell(str(used.get(source, 0)), used.get(source, 0)),
            ]
        )
    ranked = by_number(rows, 2, descending=True)
    rows = [cells for place, cells in enumerate(ranked) if place < MOST_SOURCES or cells[-1].sort]
    heads = ["source", "language", "zero-shot [95 %]", "0 to 100 %", "on validation", *measures, "chosen by"]
    caption = "How other languages’ models transfer, what the measures say of them, how many experiments chose them"
    if len(rows) < len(ranked):
        caption += f": the best {MOST_SOURCES} and those chosen, of {len(ranked)} (all: nxn/cells.csv)"
    return Table(caption, heads, rows, filtered=len(rows) > 12)


def _similarity(matrix: pd.DataFrame, target: str, source: str) -> Cell:
    value = matrix.loc[target, source]
    return number_cell(number(value, 2), value)


def _uses(data: RunData, target: str) -> dict[str, int]:
    found: dict[str, set[str]] = {}
    for entry in data.results.plan.values():
        if entry["target"] == target:
            for source in entry["sources"]:
                found.setdefault(source["locale"], set()).add(entry["experiment"])
    return {source: len(names) for source, names in found.items()}


def _merges(data: RunData, target: str) -> Table:
    rows = []
    for name in data.results.experiments:
        table = data.results.of_experiment(name)
        if target in table.index:
            rows.append(_merge_cells(data, target, name, table.loc[target]))
    rows = by_number(rows, 3, descending=True)
    heads = ["merge", "sources and weights", "needs", "on validation", "test accuracy [95 %]", "0 to 100 %",
             "− best single source", "− best own source (oracle)"]  # fmt: skip
    caption = "What each merge did, best on validation data first; differences in points"
    return Table(caption, heads, rows, filtered=len(rows) > 8)


def _merge_cells(data: RunData, target: str, name: str, row: pd.Series) -> list[Cell]:
    results = data.results
    tested = data.effect(BASELINE, name, target)
    fair = row["accuracy"] - results.baseline(BASELINE).loc[target, "accuracy"]
    own = row["accuracy"] - results.of_experiment(name, "best_source").loc[target, "accuracy"]
    shown = points_interval(fair, *((None, None) if tested is None else (tested["low"], tested["high"])))
    return [
        text_cell(results.titles[name]),
        text_cell(_with_weights(data, target, name)),
        text_cell(row["tier"]),
        number_cell(percent(row["accuracy_validation"]), row["accuracy_validation"]),
        *_accuracy_cells(row),
        number_cell(shown, fair),
        number_cell(points_interval(own, None, None), own),
    ]


def _with_weights(data: RunData, target: str, experiment: str) -> str:
    """Return the sources of the first seed with their weights in percent."""
    entries = data.results.plan.values()
    entry = next(e for e in entries if e["target"] == target and e["experiment"] == experiment)
    sources: Sequence[dict[str, Any]] = entry["sources"]
    if len(sources) > 6:
        return f"{len(sources)} sources: {', '.join(s['locale'] for s in sources[:4])} …"
    return ", ".join(f"{s['locale']} {100 * s['weight']:.0f}\u202f%" for s in sources)
