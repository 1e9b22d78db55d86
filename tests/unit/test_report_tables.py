"""Tables that compare experiments: only what differs in the method alone is paired, and titles tell all apart."""

import pandas as pd
import pytest

from workflow_scripts.results.run_results import Results, short_titles
from workflow_scripts.results.tables import pairwise


def settings(method: str, **changes):
    return {
        "method": method, "method_parameters": {}, "similarity_type": "X", "selector": "top_k", "selector_parameters": {},
        "num_languages": 2, "include_target": False, "target_similarity": 1.0, "compatibility": False, **changes,
    }  # fmt: skip


EXPERIMENTS = {
    "average": settings("average"),
    "ties": settings("ties"),
    "ties_compatible": settings("ties", compatibility=True),
}


def results(accuracies: dict[str, float]) -> Results:
    rows = [
        {"target": "t", "seed": "mean", "system": "merge", "experiment": name, "accuracy": value}
        for name, value in accuracies.items()
    ]
    empty = pd.DataFrame()
    return Results(pd.DataFrame(rows), {}, EXPERIMENTS, empty, empty, {}, {"locales": ["t"]})


def test_other_weights_of_the_sources_are_another_selection():
    (row,) = pairwise(results({"average": 0.5, "ties": 0.7, "ties_compatible": 0.1})).to_dict("records")
    assert (row["first"], row["second"], row["pairs"]) == ("average", "ties", 1)
    assert row["mean_difference"] == pytest.approx(-0.2)


def test_titles_tell_experiments_apart():
    titles = short_titles(EXPERIMENTS)
    assert len(set(titles.values())) == len(EXPERIMENTS)
