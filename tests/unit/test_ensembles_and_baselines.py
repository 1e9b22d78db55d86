"""Ensembles against numpy and scikit-learn on the logits; baselines that are merges."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.preprocessing import LabelEncoder

from workflow_scripts.evaluation.metrics import probabilities
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.merging.workflow_merge import norm_of
from workflow_scripts.results import computations
from workflow_scripts.results.computations import Members, TargetData, break_ties
from workflow_scripts.selection.baselines import baseline_entries, baseline_names
from workflow_scripts.selection.plan import build_plan
from workflow_scripts.selection.systems import is_system
from workflow_scripts.study.slices import merge_slice

WEIGHTS = [0.5, 0.3, 0.2]


def ensemble_scores(logits, weights):
    """Class scores of all ensembles of models with these logits."""
    models = {str(i): Scores.of(each, np.zeros(len(each), int)) for i, each in enumerate(logits)}
    chosen = Members(TargetData("t", 0, pd.DataFrame(), models, {}, {}, ""), list(models), weights)
    names = ("soft", "weighted_soft", "majority", "weighted_majority", "mean_logits")
    return {name: getattr(computations, name)(chosen) for name in names}


@pytest.fixture(scope="module")
def logits() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(0, 2, (400, 5)).astype(np.float16) for _ in range(3)]


class Stored:
    """A classifier whose probabilities are known."""

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = logits

    def predict_proba(self, items: np.ndarray) -> np.ndarray:
        return probabilities(self.logits[items])

    def predict(self, items: np.ndarray) -> np.ndarray:
        return self.logits[items].argmax(1)


def sklearn_predictions(logits, voting, weights):
    voter = VotingClassifier([(str(i), Stored(each)) for i, each in enumerate(logits)], voting=voting, weights=weights)
    voter.estimators_, voter.le_ = [Stored(each) for each in logits], LabelEncoder().fit(range(5))
    return voter.predict(np.arange(len(logits[0])))


def test_soft_ensembles_agree_with_scikit_learn(logits):
    found = ensemble_scores(logits, WEIGHTS)
    assert (found["soft"].argmax(1) == sklearn_predictions(logits, "soft", None)).all()
    assert (found["weighted_soft"].argmax(1) == sklearn_predictions(logits, "soft", WEIGHTS)).all()
    for scores in found.values():
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)


def test_votes_agree_with_scikit_learn_where_they_are_not_tied(logits):
    found = ensemble_scores(logits, WEIGHTS)
    for name, weights in (("majority", [1, 1, 1]), ("weighted_majority", WEIGHTS)):
        votes = sum(w * np.eye(5)[each.argmax(1)] for w, each in zip(weights, logits, strict=True))
        top = np.sort(votes, 1)
        clear = top[:, -1] - top[:, -2] > 1e-6
        assert 100 < clear.sum() < 400
        expected = sklearn_predictions(logits, "hard", weights)
        assert (found[name].argmax(1)[clear] == expected[clear]).all()


def test_tied_votes_go_to_the_larger_summed_probability():
    first, second, third = (np.array([row], np.float32) for row in ([2.0, 0, 0], [0, 5.0, 0], [0, 0, 1.0]))
    assert ensemble_scores([first, second, third], [1 / 3] * 3)["majority"].argmax() == 1
    # 0.1 + 0.2 against 0.3: equal but for rounding
    votes, tie = np.array([[0.1 + 0.2, 0.3, 0.4 - 0.3]]), np.array([[0.2, 0.7, 0.1]])
    assert votes[0, 0] > votes[0, 1] and break_ties(votes, tie).argmax() == 1


def test_the_logits_ensemble_is_the_softmax_of_the_mean(logits):
    mean = np.mean([each.astype(float) for each in logits], 0)
    expected = np.exp(mean) / np.exp(mean).sum(1, keepdims=True)
    np.testing.assert_allclose(ensemble_scores(logits, WEIGHTS)["mean_logits"], expected, rtol=1e-9)


# --- baselines that are merges


def test_a_seed_soup_has_as_many_models_as_the_merge_or_as_there_are_seeds():
    both = ["average_all", "seed_soup"]
    assert baseline_names(both, [0], [3], []) == ["average_all"]
    assert baseline_names(both, [0, 1, 2], [2, 3, 5, 7], []) == ["average_all", "seed_soup_k2", "seed_soup_k3"]
    assert baseline_names(["seed_soup"], [0, 1], [1], []) == []


def test_soups_are_of_the_source_best_on_validation_over_all_seeds():
    validation = {
        0: {"a": {"t": 0.9}, "b": {"t": 0.5}, "t": {"t": 1.0}},
        5: {"a": {"t": 0.2}, "b": {"t": 0.7}, "t": {"t": 1.0}},
    }
    soup, *rest = baseline_entries(["seed_soup_k2", "average_all"], ["t"], [0, 5], ["a", "b", "t"], validation, [])
    assert soup["seed"] == 0 and soup["tier"] == "labelled validation"
    assert merge_slice(soup) == {
        "method": "average", "parameters": {"scaling": 1.0}, "sources": ["b-seed0", "b-seed5"], "models": [["b", 0], ["b", 5]],
        "weights": [0.5, 0.5],
    }  # fmt: skip
    assert [(e["seed"], [(s["locale"], s["seed"]) for s in e["sources"]], e["tier"]) for e in rest] == [
        (0, [("a", 0), ("b", 0)], "none"),
        (5, [("a", 5), ("b", 5)], "none"),
    ]


def test_scaled_sources_are_merges_of_each_seeds_best_source_but_for_the_source_as_it_is():
    names = baseline_names(["scaled_top1"], [0, 5], [3], [0.5, 1.0, 2.0])
    assert names == ["scaled_top1_x0.5", "scaled_top1_x2"]
    validation = {0: {"a": {"t": 0.9}, "b": {"t": 0.5}}, 5: {"a": {"t": 0.2}, "b": {"t": 0.7}}}
    entries = list(baseline_entries(names[:1], ["t"], [0, 5], ["a", "b", "t"], validation, [0.5, 1.0, 2.0]))
    assert [(e["seed"], [s["locale"] for s in e["sources"]]) for e in entries] == [(0, ["a"]), (5, ["b"])]
    assert merge_slice(entries[0])["parameters"] == {"scaling": 0.5}
    assert {e["tier"] for e in entries} == {"labelled validation"} and is_system(names[0])


def test_a_shrunk_source_is_planned_where_it_is_wanted():
    settings = {
        "method": "average", "method_parameters": {}, "similarity_type": "X", "num_languages": 2, "include_target": False,
        "target_similarity": 1.0, "selector": "top_k", "selector_parameters": {}, "compatibility": False,
    }  # fmt: skip
    experiments = {
        "e": {"settings": settings, "targets": ["t"], "method_tier": "none", "grouped_by": None, "joint": []}
    }
    study = {"tiers": {"X": "none"}, "groups": {}, "pivot": "", "cosines": "", "greedy": {}}
    similarities = {("X", 0): {"t": {"a": 0.1, "b": 0.9}}}
    for wanted in ([], ["shrunk_top1"]):
        plan = build_plan(experiments, [0], similarities, {**study, "baselines": wanted})
        assert merge_slice(plan["e/t/0"]).get("top1") == ("b" if wanted else None)


def test_the_norm_of_a_task_vector_is_that_of_its_parts():
    assert norm_of({"embedding": {"norm": 2.0}, "encoder": {"norm": 3.0}, "head": {"norm": 6.0}}) == 7
