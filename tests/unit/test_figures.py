"""Figures of runs with very many locales stay files that can be opened."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.synthetic_runs import Synthetic, settings
from workflow_scripts.report.figures import key_performance_comparison, nxn_heatmap
from workflow_scripts.results.run_results import Results

METHODS = ("average", "ties", "similarity", "karcher", "della", "dare_ties")


@pytest.fixture(scope="module", params=[12, 200])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run with few or many targets."""
    experiments = {f"{method}_NXN_k3_exc": settings(method) for method in METHODS}
    folder: Path = tmp_path_factory.mktemp("figures")
    found = Synthetic(folder, experiments, lambda *_: 0.6, targets=request.param, seeds=(0,)).results()
    return replace(found, systems=found.systems.assign(low=0.5, high=0.7))


def test_the_heat_map_has_a_largest_size_and_all_names(results: Results) -> None:
    figure = nxn_heatmap.draw(results)
    assert max(figure.get_size_inches()) <= nxn_heatmap.LARGEST + 1
    labels = figure.axes[0].get_yticklabels()
    assert len(labels) == len(results.targets)
    assert labels[0].get_fontsize() * len(labels) < 72 * figure.get_size_inches()[1]


def test_every_target_has_a_band_in_a_figure_that_can_be_opened(results: Results) -> None:
    figure = key_performance_comparison.draw(results)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()].count("") == 0
    assert len(figure.axes[0].get_yticks()) == len(results.targets)
    assert figure.get_size_inches()[1] * 150 < 2**16 / 3
