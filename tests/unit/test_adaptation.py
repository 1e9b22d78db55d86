"""Coefficients learned on unlabelled text: the gradient against finite differences, and what it learns."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from tests.unit.helpers import merge
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.merging.adaptation import (
    Merged,
    Subject,
    _batches,
    _padded,
    _split,
    follow_sources,
    lower_entropy,
)
from workflow_scripts.merging.coefficients import block_of
from workflow_scripts.merging.method import load_method
from workflow_scripts.merging.pieces import Layout
from workflow_scripts.models.checkpoints import TaskVector, Vocabulary, load_model, save_task_vector, skeleton

EMBEDDING = "bert.embeddings.word_embeddings.weight"
TEXTS = ["turn on the light", "play some music", "what is the weather like", "play it", "turn the music off now"]


def task_vector(base, seed: int) -> TaskVector:
    generator = torch.Generator().manual_seed(seed)
    shapes = {n: p.shape for n, p in skeleton(base).named_parameters()}
    dense = {n: torch.randn(s, generator=generator) / 10 for n, s in shapes.items() if n != EMBEDDING}
    rows = torch.arange(seed, shapes[EMBEDDING][0], 2)
    return TaskVector(dense, {EMBEDDING: (rows, torch.randn(len(rows), shapes[EMBEDDING][1], generator=generator))})


def blocks(base, granularity: str) -> Callable[[str], str]:
    layout = Layout.of(skeleton(base))
    return lambda name: block_of(name, granularity, layout)


@pytest.fixture(scope="module")
def sources(tiny_base) -> list[TaskVector]:
    return [task_vector(tiny_base, seed) for seed in (0, 1)]


@pytest.fixture
def merged(tiny_base, sources) -> Merged:
    """In float64, so that finite differences are exact to many digits."""
    vocabulary = Vocabulary(np.arange(40), 1)
    model = load_model(tiny_base, vocabulary).double()
    return Merged(model, vocabulary, sources, blocks(tiny_base, "layer_wise"))


def test_the_gradient_is_that_of_finite_differences(merged):
    ids, mask = _padded([[0, 5, 9, 2], [0, 7, 2], [0, 11, 12, 13, 2]], 1)
    assert merged.blocks == ["embedding", "head", "layer 0", "layer 1"]
    values = {block: torch.tensor([0.4, 0.7], dtype=torch.float64, requires_grad=True) for block in merged.blocks}
    merged.entropy(values, ids, mask).backward()
    for block, value in values.items():
        for i in range(2):
            sides = []
            for step in (1e-5, -1e-5):
                moved = {b: v.detach().clone() for b, v in values.items()}
                moved[block][i] += step
                sides.append(float(merged.entropy(moved, ids, mask)))
            assert float(value.grad[i]) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_the_entropy_is_that_of_the_merged_weights(tiny_base, sources, merged):
    """Against a model whose weights are put together by hand, without padding."""
    vocabulary = Vocabulary(np.arange(40), 1)
    model = load_model(tiny_base, vocabulary).double()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            for source in sources:
                if name in source.dense:
                    weight.add_(source.dense[name].double(), alpha=0.5)
                else:
                    rows, values = source.rows[name]
                    weight[rows[rows < 40]] += 0.5 * values[rows < 40].double()
        texts = [[0, 5, 9, 2], [0, 7, 2]]
        p = torch.softmax(torch.cat([model(input_ids=torch.tensor([t])).logits for t in texts]), -1)
        expected = float(-(p * p.log()).sum(-1).mean())
        half = {block: torch.tensor([0.5, 0.5], dtype=torch.float64) for block in merged.blocks}
        assert float(merged.entropy(half, *_padded(texts, 1))) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("granularity", ["task_wise", "layer_wise"])
def test_adaptation_lowers_the_entropy_and_is_reproducible(granularity, tiny_base, sources):
    parameters = {"granularity": granularity, "steps": 40, "batch_size": 4, "learning_rate": 0.02}
    subject = Subject(tiny_base, sources, TEXTS, blocks(tiny_base, granularity), 32)
    runs = [lower_entropy(subject, [0.3, 0.7], parameters, seed=1) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(runs[0].history) == 40 and np.mean(runs[0].history[-5:]) < np.mean(runs[0].history[:5])
    assert len(runs[0].coefficients) == (1 if granularity == "task_wise" else 4)
    assert [sum(values) for values in runs[0].coefficients.values()] == pytest.approx([1.0] * len(runs[0].coefficients))
    assert any(values != pytest.approx([0.3, 0.7], abs=0.01) for values in runs[0].coefficients.values())
    other = lower_entropy(subject, [0.3, 0.7], parameters, seed=2)
    assert other.history != runs[0].history


def test_coefficients_start_at_the_weights(tiny_base, sources):
    parameters = {"granularity": "task_wise", "steps": 1, "batch_size": 2, "learning_rate": 1e-9}
    subject = Subject(tiny_base, sources, TEXTS, blocks(tiny_base, "task_wise"), 32)
    found = lower_entropy(subject, [0.3, 0.7], parameters, seed=1)
    assert found.coefficients == {"model": pytest.approx([0.3, 0.7])}


def test_the_method_reads_what_it_learns_from(tmp_path, tiny_base, sources):
    table = pd.DataFrame({"id": list("abcde"), "text": TEXTS, "label": 0, "cluster": "t"})
    write_examples(table, tmp_path / "train.parquet")
    write_digest(tmp_path / "train.digest", examples_digest(table))
    models = [tmp_path / f"{i}.safetensors" for i in range(len(sources))]
    for source, path in zip(sources, models, strict=True):
        save_task_vector(source, path, "float32", {"base": "θ₀"})
    text = {"text": [tmp_path / "train.parquet"], "text_digest": [tmp_path / "train.digest"]}
    parameters = {"granularity": "layer_wise", "steps": 12, "batch_size": 2}
    method = load_method("adamerging", parameters)
    learned = method.adapt({"base": tiny_base, "models": models, **text}, [0.3, 0.7], "θ₀", 32, 1)
    subject = Subject(tiny_base, sources, TEXTS, blocks(tiny_base, "layer_wise"), 32)
    direct = lower_entropy(subject, [0.3, 0.7], method.settings, seed=1)
    assert learned["coefficients"] == direct.coefficients
    assert learned["entropy"]["first"] == pytest.approx(np.mean(direct.history[:10]))


DISTILL = {"granularity": "task_wise", "steps": 100, "batch_size": 4, "learning_rate": 0.05, "patience": 100}


def test_distillation_judges_by_the_divergence_from_the_ensemble(tiny_base, sources):
    """The first judgement against models whose weights are put together by hand."""
    subject = Subject(tiny_base, sources, TEXTS, blocks(tiny_base, "task_wise"), 32)
    (held_out,), _ = _split(len(TEXTS), seed=1)
    values = [[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]]
    first, second, merged = (subject.predictions(subject.everywhere(v), [held_out])[0].exp().double() for v in values)
    ensemble = (first + second) / 2
    expected = float((ensemble * (ensemble / merged).log()).sum())
    assert follow_sources(subject, [0.3, 0.7], {**DISTILL, "steps": 1}, seed=1).history[0] == pytest.approx(
        expected, rel=1e-4
    )


def test_a_source_is_what_distillation_of_one_source_finds(tiny_base, sources):
    subject = Subject(tiny_base, sources[:1], TEXTS, blocks(tiny_base, "task_wise"), 32)
    learned = follow_sources(subject, [0.8], DISTILL, seed=1)
    assert (
        learned.coefficients["model"] == pytest.approx([1.0], abs=0.15)
        and min(learned.history) < learned.history[0] / 10
    )
    at_the_optimum = follow_sources(subject, [1.0], DISTILL, seed=1)
    assert at_the_optimum.coefficients["model"] == pytest.approx([1.0], abs=0.02)


def test_distillation_is_reproducible_and_stops_early(tiny_base, sources):
    subject = Subject(tiny_base, sources, TEXTS, blocks(tiny_base, "layer_wise"), 32)
    parameters = {**DISTILL, "granularity": "layer_wise"}
    runs = [follow_sources(subject, [0.5, 0.5], parameters, seed=1) for _ in range(2)]
    assert runs[0] == runs[1] and len(runs[0].coefficients) == 4
    assert min(runs[0].history) < runs[0].history[0]
    hasty = follow_sources(subject, [0.5, 0.5], {**parameters, "learning_rate": 5.0, "patience": 1}, seed=1)
    assert len(hasty.history) < 11, "100 steps would be eleven judgements"


def test_distillation_needs_a_sentence_to_judge_on(tiny_base, sources):
    subject = Subject(tiny_base, sources, TEXTS[:1], blocks(tiny_base, "task_wise"), 32)
    with pytest.raises(XlmergeError, match="two sentences of the target or more"):
        follow_sources(subject, [0.5, 0.5], DISTILL, seed=1)


def test_batches_go_through_all_sentences_before_any_comes_again():
    order = [i for batch in _batches(5, steps=4, size=3, seed=0) for i in batch]
    assert sorted(order[:5]) == sorted(order[5:10]) == [0, 1, 2, 3, 4] and len(order) == 12


@pytest.mark.parametrize("method", ["adamerging", "distill", "evolve"])
def test_without_coefficients_there_is_no_merge(method):
    with pytest.raises(XlmergeError, match="run it in a workflow"):
        merge([{"a": [1.0]}, {"a": [2.0]}], method)
