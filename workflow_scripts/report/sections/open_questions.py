"""Questions that earlier work left open: what this run answers, and the config lines that would answer the rest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.core.words import number, p_value, points_interval
from workflow_scripts.report.blocks import Block, Column, Folded, Prose, Section, Table, Verbatim, number_cell, table
from workflow_scripts.report.marks import Text, Verdict
from workflow_scripts.report.run_data import RunData
from workflow_scripts.report.sections.comparisons import interval_cell
from workflow_scripts.results.run_results import Results
from workflow_scripts.selection.systems import TIERS
from workflow_scripts.statistics.contrasts import EXPLORATORY, FLAT, TRANSFER

MOST = 8  # comparisons that are shown; more are folded


@dataclass(frozen=True)
class OpenQuestion:
    """A question that pairs of experiments answer: those that differ in one thing.

    Attributes
    ----------
    text : str
    differ : str
        The thing, as the contrasts name it.
    lines : str
        A block of the config that answers it.
    first, second : callable, optional
        Which experiments a pair of interest may have, given the results and a name.
    """

    text: str
    differ: str
    lines: str
    first: Callable[[Results, str], bool] = lambda results, name: True
    second: Callable[[Results, str], bool] = lambda results, name: True


def _is_flat(results: Results, name: str) -> bool:
    return results.experiments[name]["method"] in FLAT


QUESTIONS = (
    OpenQuestion(
        "Are more sources better?",
        "number of sources",
        "fixed: {method: similarity, similarity_type: NXN, include_target: false}\nsweep: {num_languages: [2, 3, 5]}",
    ),
    OpenQuestion(
        "Does measured transfer choose better sources?",
        "similarity",
        "fixed: {method: similarity, num_languages: 3, include_target: false}\nsweep: {similarity_type: [NXN, URIEL]}",
        first=lambda results, name: results.measure(name) == TRANSFER,
    ),
    OpenQuestion(
        "Is another method better than averaging?",
        "method",
        "fixed: {similarity_type: NXN, num_languages: 3, include_target: false}\n"
        "sweep: {method: [average, ties, tsv_m, regmean]}",
        first=lambda results, name: not _is_flat(results, name),
        second=_is_flat,
    ),
)
PREDICTOR = "Can a predictor tell beforehand when to merge?"


def section(data: RunData) -> Section:
    """Return the section with an answer, or the way to one, per question."""
    answers: list[Block] = [_answer(data, question) for question in QUESTIONS]
    return Section("open-questions", "What earlier work left open", [*answers, _predictor(data)])


def _answer(data: RunData, question: OpenQuestion) -> Section:
    rows = _comparisons(data, question)
    if rows.empty:
        text = "This run cannot tell: it has no two experiments that differ in this alone. This block answers it:"
        blocks: list[Block] = [Prose(text), Verbatim(_block(question))]
    else:
        tests = _tests(data, rows, question)
        verdicts = rows["verdict"].value_counts(sort=False)
        counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        text = f"{counted} (comparisons of the first with the second; tests corrected as all exploratory ones are)."
        folded = Folded(f"All {len(rows)} comparisons", [tests], file="statistics.csv")
        blocks = [Prose(text), folded if len(rows) > MOST else tests]
    return Section(f"question-{question.differ.replace(' ', '-')}", question.text, blocks)


def _comparisons(data: RunData, question: OpenQuestion) -> pd.DataFrame:
    across = data.across_targets(EXPLORATORY)
    rows = across[across["contrast"] == f"merge − other {question.differ}"]
    first = [question.first(data.results, name) for name in rows["experiment"]]
    second = [question.second(data.results, name) for name in rows["baseline"]]
    return rows[np.array(first, bool) & np.array(second, bool)]


def _tests(data: RunData, rows: pd.DataFrame, question: OpenQuestion) -> Table:
    titles = data.results.titles
    columns: dict[str, Column] = {
        "first": lambda row: titles[row["experiment"]],
        "second": lambda row: titles[row["baseline"]],
        "first − second [95 %], points": lambda row: interval_cell(row["effect"], row["low"], row["high"]),
        "targets": ("targets", number),
        "p adjusted": ("p_adjusted", p_value),
        "verdict": lambda row: Verdict(row["verdict"]),
    }
    return table(question.text, [row for _, row in rows.iterrows()], columns)


def _block(question: OpenQuestion) -> str:
    name = question.differ.replace(" ", "_")
    lines = "\n    ".join(question.lines.splitlines())
    return f"ablations:\n  - name: {name}\n    {lines}"


def _predictor(data: RunData) -> Section:
    tiers = data.predictor.get("tiers", {})
    judged = {
        tier: {row["policy"]: row for row in tiers[tier]["policies"]}
        for tier in TIERS
        if tier in tiers and tiers[tier]["predictor"]
    }
    if not judged:
        wanted = "a predictor needs more targets or more merges than this run has"
        return Section("question-predictor", PREDICTOR, [Prose(f"This run cannot tell: {wanted}.")])
    rows = [{"tier": tier, **policies} for tier, policies in judged.items()]
    columns: dict[str, Column] = {
        "supervision": "tier",
        **{f"regret of `{name}` [95 %]": _regret_of(name) for name in ("predictor", "always merge", "never merge")},
    }
    said: Text = "Below, what following it loses against hindsight; smaller is better."
    if any(part["descriptive"] for part in tiers.values()):
        said = (said, " With so few targets this is a description and proves nothing.")
    return Section("question-predictor", PREDICTOR, [Prose(said), table("Regret, percentage points", rows, columns)])


def _regret_of(name: str) -> Column:
    def cell(row: dict) -> object:
        if name not in row:
            return ""
        regret = row[name]["regret"]
        return number_cell(points_interval(regret["value"], regret["low"], regret["high"]), regret["value"])

    return cell
