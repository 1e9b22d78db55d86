"""The report's open questions: what a run answers, and the lines that would answer the rest."""

from pathlib import Path

import yaml

from tests.conftest import preset
from tests.unit import report_run
from tests.unit.report_run import full_run, run_data
from tests.unit.synthetic_runs import Synthetic, settings, wobble
from tests.unit.test_report_sections import shown, within
from workflow_scripts.report.blocks import Prose, Section, Table, Verbatim
from workflow_scripts.report.marks import plain
from workflow_scripts.report.sections import open_questions, selector_finds
from workflow_scripts.statistics.comparison import compare_run
from workflow_scripts.study.study import load_study

LOCALES = ["en-US", "de-DE", "es-ES", "fr-FR", "it-IT", "nl-NL"]

EXPERIMENTS = {
    "three": settings(similarity="URIEL"),
    "five": settings(similarity="URIEL", k=5),
    "measured": settings(similarity="NXN"),
    "ties": settings("ties", similarity="URIEL"),
}


def answers(data) -> dict[str, Section]:
    return {part.id: part for part in open_questions.section(data).blocks}


def answered(folder: Path) -> dict[str, Section]:
    def accuracy(key: str, place: int, seed: int) -> float:
        gain = {"five": 0.06, "measured": -0.06}.get(key, 0.0)
        return 0.6 + gain + (wobble(place, seed, key) if gain else 0)

    run = Synthetic(folder, EXPERIMENTS, accuracy)
    statistics, facts = compare_run(run.results(), run.paths)
    return answers(run_data(results=run.results(), statistics=statistics, comparison_facts=facts))


def test_pairs_of_experiments_answer_with_effect_interval_and_verdict(tmp_path: Path) -> None:
    found = answered(tmp_path)
    for question, (first, second, sign, verdict) in {
        "question-number-of-sources": ("k=5", "k=3", "+6.", "better"),
        "question-similarity": ("NXN", "URIEL", "−6.", "worse"),
        "question-method": ("ties", "average", "0.0", "no relevant difference"),
    }.items():
        (row,) = shown(within([found[question]], Table)[0])
        assert first in row[0] and second in row[1], row
        assert sign in row[2].replace("-", "−") and row[-1] == verdict, row


def test_what_a_run_does_not_hold_comes_with_lines_that_answer_it() -> None:
    for part in answers(run_data()).values():
        assert "This run cannot tell" in plain(within([part], Prose)[0].text)
    blocks = within(open_questions.section(run_data()).blocks, Verbatim)
    assert len(blocks) == 3
    for block in blocks:
        study = load_study(preset("tiny", locales=LOCALES, **yaml.safe_load(block.text)))
        assert len(study.experiments) > 1, "pairs of experiments"


def test_a_predictor_answers_with_its_regret_beside_always_and_never() -> None:
    part = answers(full_run())["question-predictor"]
    heads = within([part], Table)[0].heads
    assert heads[0] == "supervision" and "regret of `never merge` [95 %]" in heads


def test_the_picks_of_every_selector_are_ranked_per_target() -> None:
    tables = within(selector_finds.section(run_data()).blocks, Table)
    ranks = next(t for t in tables if "Ranks of the chosen sources" in plain(t.caption))
    assert [row[0] for row in shown(ranks)] == report_run.LOCALES and {row[-1] for row in shown(ranks)} == {"1, 2"}
