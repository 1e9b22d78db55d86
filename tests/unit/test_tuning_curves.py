"""Tuned systems looked at: curves by hand, what was picked, ends of grids, the figure and the report's section."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.report_run import run_data
from tests.unit.synthetic_runs import Synthetic, settings
from tests.unit.test_report_sections import shown, within
from workflow_scripts.report.blocks import Note, Table
from workflow_scripts.report.figures import tuning_curve
from workflow_scripts.report.marks import plain
from workflow_scripts.report.sections import tuned_merges
from workflow_scripts.results.run_results import Results
from workflow_scripts.results.tuned_systems import tuned_entries
from workflow_scripts.results.tuning_curves import tuning_curves
from workflow_scripts.selection.plan import entry_key

VALUES = {"short": 0.5, "plain": 1.0, "long": 2.0}
ACCURACY = {"short": 0.5, "plain": 0.6, "long": 0.55}
SYSTEM = {"members": ["plain", "short", "long"], "on": "target", "parameters": ["scaling"]}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three targets; the last one's validation data like long merges, the others' plain ones."""
    members = {name: settings("ties", method_parameters={"scaling": value}) for name, value in VALUES.items()}
    tuned = settings("ties", method_parameters={"scaling": "tuned on target"})

    def accuracy(key: str, place: int, seed: int) -> float:
        return {**ACCURACY, "tuned": 0.58}.get(key, 0.5)

    run = Synthetic(tmp_path, {**members, "tuned": tuned}, accuracy, targets=3, seeds=(0,)).results()
    scores = {(t, 0): {**ACCURACY, "long": 0.9 if place == 2 else 0.1} for place, t in enumerate(run.targets)}
    plan = {key: entry for key, entry in run.plan.items() if entry["experiment"] != "tuned"}
    plan |= tuned_entries(plan, {"tuned": {**SYSTEM, "targets": run.targets}}, scores, [0])
    return replace(run, plan=plan, tuned={"tuned": SYSTEM})


def test_a_curve_is_the_members_accuracies_by_value(results: Results) -> None:
    (curve,) = tuning_curves(results)
    assert curve.values == [0.5, 1.0, 2.0] and list(curve.test.index) == results.targets
    np.testing.assert_allclose(curve.test.mean(), [0.5, 0.6, 0.55])
    assert curve.counts == {1.0: 2, 2.0: 1}
    assert curve.at_the_ends == {2.0: 1}, "the one in the middle is no end"
    last = results.targets[-1]
    assert curve.picked[last, 0] == 2.0 and results.plan[entry_key("tuned", last, 0)]["picked"] == "long"


@pytest.mark.parametrize(
    "system", [{"parameters": ["scaling", "density"]}, {"parameters": ["scaling"], "members": ["plain", "word"]}]
)
def test_two_parameters_or_words_make_no_curve(results: Results, system: dict) -> None:
    experiments = {**results.experiments, "word": settings("ties", method_parameters={"scaling": None})}
    systems = results.systems.replace({"experiment": {"long": "word"}})
    assert (
        tuning_curves(replace(results, systems=systems, experiments=experiments, tuned={"tuned": {**SYSTEM, **system}}))
        == []
    )


def test_the_figure_has_a_panel_per_system_with_all_values(results: Results) -> None:
    figure = tuning_curve.draw(results)
    panel = figure.axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0.5", "1", "2"]
    dots = [line for line in panel.lines if line.get_linestyle() == "None"]
    assert sorted(x for line in dots for x in line.get_xdata()) == [1.0, 1.0, 2.0]


def test_the_report_says_what_was_picked_and_where_a_grid_ends_too_early(results: Results) -> None:
    section = tuned_merges.section(run_data(results=results))
    (row,) = shown(within(section.blocks, Table)[0])
    assert row[3] == "1: 2, 2: 1" and row[4].startswith("58.0") and row[5] == "−2.0"
    (note,) = within(section.blocks, Note)
    assert "2 (1 time) of 3" in plain(note.text) and "widen" in plain(note.text)


def test_a_run_without_tuned_systems_has_no_such_section() -> None:
    assert not tuned_merges.section(run_data()).blocks
