"""A target's page: its sources, what each merge did, which intents are confused, what merging fixed and broke."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from workflow_scripts.core.words import number, percent, percent_interval, plural, points, points_interval
from workflow_scripts.report.blocks import Block, Cell, Column, Prose, Section, Table, TargetPage, number_cell, table
from workflow_scripts.report.marks import Link, Text, Whiskers
from workflow_scripts.report.run_data import RunData
from workflow_scripts.report.sections.changed_sentences import changed_sentences
from workflow_scripts.report.sections.confusion import confusion_map, intent_table
from workflow_scripts.report.sections.in_short import advice_columns
from workflow_scripts.selection.systems import BEST_SINGLE, BEST_SOURCE_ORACLE, MERGE, SELF, title

MOST_SOURCES = 60  # in a target's table, besides those that an experiment chose
MOST_WITH_WEIGHTS = 6  # sources of a merge
CONTROL = "random"  # the measure that says nothing of languages


def target_page(data: RunData, target: str) -> TargetPage:
    """Return the page of one target."""
    targets, language = data.results.targets, data.language(target)
    single, place = str(data.results.baseline(BEST_SINGLE).loc[target, "model"]), targets.index(target)
    name = f"target-{target}"
    blocks: list[Block] = [
        Prose(_what_it_is(data, target, single), "lead"),
        *_advice(data, target),
        _levels(data, target),
        Section(f"{name}-sources", "Its sources", [_sources(data, target)]),
        Section(f"{name}-merges", "Its merges", [_merges(data, target)]),
        Section(f"{name}-intents", "Its intents", [intent_table(data, target), confusion_map(data, target)]),
        Section(f"{name}-examples", "What merging fixed and broke", changed_sentences(data, target, single)),
    ]
    return TargetPage(
        locale=target,
        language=language["language"],
        family=language["family"],
        neighbours=[targets[i] for i in (place - 1, place + 1) if 0 <= i < len(targets)],
        section=Section(name, data.named(target), blocks),
    )


def _what_it_is(data: RunData, target: str, single: str) -> str:
    language, examples = data.language(target), data.examples[target]
    chosen = data.results.titles[data.results.chosen[target]]
    return (
        f"{language['family']}, {language['genus']} · script {language['script']} · {language['region']} · resource "
        f"level {language['resource_level']} · {plural(len(examples), 'test sentence')} in "
        f"{plural(examples['cluster'].nunique(), 'cluster')}. Compared here: the best single source chosen on "
        f"validation data ({single}) and the merge chosen the same way ({chosen})."
    )


def accuracy_columns(head: str) -> dict[str, Column]:
    """Return the columns that tell and draw an accuracy with its interval."""

    def shown(row: Mapping[str, Any]) -> str:
        return percent_interval(row["accuracy"], row["low"], row["high"])

    def drawn(row: Mapping[str, Any]) -> Whiskers:
        return Whiskers(shown(row), row["accuracy"], row["low"], row["high"])

    return {
        head: lambda row: number_cell(shown(row), row["accuracy"]),
        "0 to 100 %": lambda row: Cell(drawn(row), row["accuracy"]),
    }


def _advice(data: RunData, target: str) -> list[Block]:
    rows = data.recommendations[data.recommendations["target"] == target]
    if rows.empty:
        return []
    columns: dict[str, Column] = {"what one has": "tier", **advice_columns(data)}
    return [table("Advice by the supervision that one has", [row for _, row in rows.iterrows()], columns)]


def _levels(data: RunData, target: str) -> Table:
    chosen, mean = data.results.chosen[target], data.results.mean
    of_target = mean[(mean["target"] == target) & (mean["experiment"] == "")]
    marks = {SELF: data.converged_mark(target)}
    rows = [
        {**row, "title": title(row["system"]) + marks.get(row["system"], "")}
        for _, row in of_target.iterrows()
        if pd.notna(row["accuracy"])
    ]
    merge = data.results.of_experiment(chosen).loc[target]
    rows.append({**merge, "title": f"merge chosen on validation data: {data.results.titles[chosen]}", "system": MERGE})
    columns: dict[str, Column] = {"system": _with_model, **accuracy_columns("test accuracy [95 %]")}
    return table("Where the target stands", rows, columns).ordered("test accuracy [95 %]", descending=True)


def _with_model(row: Mapping[str, Any]) -> str:
    """Return a system's title, with the model that it is where that is not the target's own."""
    model = row["model"]
    named = isinstance(model, str) and model and row["system"] != SELF
    return f"{row['title']} ({model})" if named else str(row["title"])


def _sources(data: RunData, target: str) -> Table:
    known = data.results.settings["measures"]
    measures = {name: matrix.loc[target] for name, matrix in data.similarities.items() if known[name] != CONTROL}
    used = _uses(data, target)
    rows = [
        {
            "source": source,
            "validation": data.results.matrix_validation.loc[source, target],
            "uses": used.get(source, 0),
            **{f"measure {name}": similarity[source] for name, similarity in measures.items()},
            **data.cells.loc[(source, target)],
        }
        for source in data.results.settings["locales"]
        if source != target
    ]
    rows.sort(key=lambda row: -row["accuracy"])
    shown = [row for place, row in enumerate(rows) if place < MOST_SOURCES or row["uses"]]
    columns: dict[str, Column] = {
        "source": lambda row: _page_link(data, row["source"]),
        "language": lambda row: data.language(row["source"])["language"],
        **accuracy_columns("zero-shot [95 %]"),
        "on validation": ("validation", percent),
        **{name: (f"measure {name}", lambda value: number(value, 2)) for name in measures},
        "chosen by": ("uses", number),
    }
    caption = "How other languages’ models transfer, what the measures say of them, how many experiments chose them"
    if len(shown) < len(rows):
        caption += f": the best {MOST_SOURCES} and those chosen, of {len(rows)} (all: nxn/cells.csv)"
    return table(caption, shown, columns)


def _page_link(data: RunData, locale: str) -> Text:
    return Link(locale, f"#target-{locale}") if locale in data.results.targets else locale


def _uses(data: RunData, target: str) -> dict[str, int]:
    users: dict[str, set[str]] = {}
    for entry in data.results.plan.values():
        if entry["target"] == target:
            for source in entry["sources"]:
                users.setdefault(source["locale"], set()).add(entry["experiment"])
    return {source: len(names) for source, names in users.items()}


def _merges(data: RunData, target: str) -> Table:
    results = data.results
    tables = {name: results.of_experiment(name) for name in results.experiments}
    rows = [_merge(data, target, name, t.loc[target]) for name, t in tables.items() if target in t.index]
    columns: dict[str, Column] = {
        "merge": "title",
        "sources and weights": "sources",
        "needs": "tier",
        "on validation": ("accuracy_validation", percent),
        **accuracy_columns("test accuracy [95 %]"),
        "− best single source": lambda row: number_cell(
            points_interval(row["fair"], row["fair_low"], row["fair_high"]), row["fair"]
        ),
        "− best own source (oracle)": ("own", points),
    }
    caption = "What each merge did, best on validation data first; differences in points"
    return table(caption, rows, columns).ordered("on validation", descending=True)


def _merge(data: RunData, target: str, name: str, row: pd.Series) -> dict[str, Any]:
    results, tested = data.results, data.effect(BEST_SINGLE, name, target)
    return {
        **row,
        "title": results.titles[name],
        "sources": _with_weights(data, target, name),
        "fair": row["accuracy"] - results.baseline(BEST_SINGLE).loc[target, "accuracy"],
        "fair_low": None if tested is None else tested["low"],
        "fair_high": None if tested is None else tested["high"],
        "own": row["accuracy"] - results.of_experiment(name, BEST_SOURCE_ORACLE).loc[target, "accuracy"],
    }


def _with_weights(data: RunData, target: str, experiment: str) -> str:
    """Return the sources of the first seed with their weights in percent, and the values that a tuned system picked."""
    entries = data.results.plan.values()
    entry = next(e for e in entries if e["target"] == target and e["experiment"] == experiment)
    sources: Sequence[Mapping[str, Any]] = entry["sources"]
    tuned = data.results.tuned.get(experiment, {"parameters": []})["parameters"]
    values = "".join(f"; {key} {entry['parameters'][key]}" for key in tuned)
    if len(sources) > MOST_WITH_WEIGHTS:
        return f"{len(sources)} sources: {', '.join(s['locale'] for s in sources[:4])} …{values}"
    return ", ".join(f"{s['locale']} {percent(s['weight'], 0)}" for s in sources) + values
