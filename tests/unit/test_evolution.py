"""Coefficients evolved on validation data: what is better, what it costs, and who may judge."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.unit.test_adaptation import TEXTS, blocks, task_vector
from tests.unit.test_cells import complete, merge_entry, merge_inputs, merge_settings  # noqa: F401 (a fixture)
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.merging.adaptation import Subject
from workflow_scripts.merging.evolution import search, split_clusters
from workflow_scripts.merging.method import load_method
from workflow_scripts.models.checkpoints import save_task_vector

SETTINGS = {"granularity": "task_wise", "budget": 30, "step": 0.3}
EVERY = list(range(len(TEXTS)))


@pytest.fixture(scope="module")
def sources(tiny_base):
    return [task_vector(tiny_base, seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def subject(tiny_base, sources):
    return Subject(tiny_base, sources, TEXTS, blocks(tiny_base, "task_wise"), 32)


@pytest.fixture(scope="module")
def labels(subject):
    """What the second source says: it makes no mistake."""
    return subject.predictions(subject.everywhere([0.0, 1.0]), EVERY).argmax(-1)


def judged(subject, labels, coefficients) -> tuple[int, float]:
    """The number of correct sentences, and the mean log-likelihood."""
    table = {block: torch.tensor(values) for block, values in coefficients.items()}
    log_p = subject.predictions(table, EVERY)
    return int((log_p.argmax(-1) == labels).sum()), float(log_p.gather(1, labels[:, None]).mean())


def test_the_best_is_no_worse_than_the_start_and_likelihood_decides_among_equals(subject, labels):
    best, accuracy = search(subject, labels, EVERY, [0.0, 1.0], SETTINGS, seed=1)
    assert accuracy == {"start": 1.0, "best": 1.0}
    start = judged(subject, labels, {"model": [0.0, 1.0]})
    found = judged(subject, labels, best)
    assert found[0] == start[0] == len(TEXTS) and found[1] > start[1]
    worse, accuracy = search(subject, 1 - labels.clamp(max=1), EVERY, [0.0, 1.0], SETTINGS, seed=1)
    assert accuracy["best"] >= accuracy["start"]
    assert judged(subject, 1 - labels.clamp(max=1), worse)[0] == round(accuracy["best"] * len(TEXTS))


def test_it_is_reproducible_whatever_else_draws_and_keeps_its_budget(subject, labels, monkeypatch):
    asked = []
    monkeypatch.setattr(subject, "predictions", lambda *a: asked.append(a[1]) or Subject.predictions(subject, *a))
    first = search(subject, labels, EVERY[1:], [0.5, 0.5], SETTINGS, seed=1)
    assert len(asked) == SETTINGS["budget"] and all(chosen == EVERY[1:] for chosen in asked)
    np.random.seed(5)  # noqa: NPY002
    assert search(subject, labels, EVERY[1:], [0.5, 0.5], SETTINGS, seed=1) == first
    assert search(subject, labels, EVERY[1:], [0.5, 0.5], SETTINGS, seed=2) != first


def test_folds_hold_whole_clusters():
    clusters = ["a", "b", "a", "c", "d", "b", "a"]
    folds = split_clusters(clusters, seed=3)
    assert sorted(folds[0] + folds[1]) == list(range(7)) and all(folds)
    assert not {clusters[i] for i in folds[0]} & {clusters[i] for i in folds[1]}
    assert split_clusters(clusters, seed=3) == folds
    with pytest.raises(XlmergeError, match="all of one cluster"):
        split_clusters(["a", "a"], seed=3)


def test_a_fold_has_no_part_in_its_own_coefficients(tiny_base, sources, subject, labels, tmp_path):
    table = pd.DataFrame({"id": EVERY, "text": TEXTS, "label": labels.tolist(), "cluster": list("xyxyz")})
    write_examples(table.astype({"id": str}), tmp_path / "v.parquet")
    write_digest(tmp_path / "v.digest", examples_digest(table.astype({"id": str})))
    models = [tmp_path / f"{i}.safetensors" for i in range(2)]
    for source, path in zip(sources, models, strict=True):
        save_task_vector(source, path, "float32", {"base": "θ₀"})
    inputs = {
        "base": tiny_base,
        "models": models,
        "text": [tmp_path / "v.parquet"],
        "text_digest": [tmp_path / "v.digest"],
    }
    method = load_method("evolve", SETTINGS)
    found = method.adapt(inputs, [0.5, 0.5], "θ₀", 32, 7)
    assert found["coefficients"] == search(subject, labels, EVERY, [0.5, 0.5], SETTINGS, 7)[0]
    assert sorted(i for fold in found["folds"] for i in fold["sentences"]) == EVERY
    for fold in found["folds"]:
        others = [i for i in EVERY if i not in fold["sentences"]]
        assert fold["coefficients"] == search(subject, labels, others, [0.5, 0.5], SETTINGS, 7)[0]
    assert method.texts("sw-KE", ["a"]) == [("sw-KE", "validation")] and method.supervision == "labelled validation"


def test_validation_scores_are_those_of_merges_that_did_not_see_the_sentences(merge_inputs, tmp_path, monkeypatch):  # noqa: F811
    folds = [
        {"sentences": [0, 2], "coefficients": {"model": [9.0, 0.0]}},
        {"sentences": [1, 3], "coefficients": {"model": [0.0, 9.0]}},
    ]
    learned = {"coefficients": {"model": [0.5, 0.5]}, "accuracy": {"start": 0.5, "best": 0.5}, "folds": folds}
    monkeypatch.setattr("workflow_scripts.merging.evolution.evolve_on_target", lambda *a: learned)
    text = {"text": merge_inputs["validation_tables"], "text_digest": merge_inputs["validation_digests"]}
    entry = {**merge_entry("evolve", "a", "b"), "texts": [["t", "validation"]]}
    more = {"seed": 0, "texts": [["t", "validation"]], "measurements": []}
    plain = merge_settings(tmp_path, average=merge_entry("average", "a", "b"))
    job, _ = complete(
        merge_inputs | text,
        plain | more | {"merges": plain["merges"] | {"e": entry}, "codes": {"average": "1", "e": "5"}},
    )
    packs, facts = job.results()
    moved = {split: packs[split]["e"].logits.astype(float) - packs[split]["average"].logits for split in packs}
    # the average's biases are (1, 0, 2); with 9·(2, 0, 0) or 9·(0, 0, 4) they are (18, 0, 0) or (0, 0, 36)
    np.testing.assert_allclose(moved["validation"][[0, 2]], np.tile([17, 0, -2], (2, 1)), atol=0.03)
    np.testing.assert_allclose(moved["validation"][[1, 3]], np.tile([-1, 0, 34], (2, 1)), atol=0.03)
    np.testing.assert_allclose(moved["test"], 0, atol=0.01)
    assert facts["e"]["adaptation"] == learned
