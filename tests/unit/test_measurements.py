"""Fisher information and Gram matrices against independent references, and the merges that use them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.unit.helpers import NAMES, Rows, read_vector, sources_of, write_vector
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.engine import merge_files
from workflow_scripts.merging.measurements.fisher import fisher
from workflow_scripts.merging.measurements.gram import gram
from workflow_scripts.merging.measuring import ModelText
from workflow_scripts.merging.method import load_method
from workflow_scripts.models.checkpoints import TaskVector, skeleton

TEXTS = ["turn on the light", "play some music", "what is the weather like", "play it", "turn the music off now"]
LABELS = [0, 1, 2, 1, 1]
EMBEDDING = "bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def task_vector(tiny_base) -> TaskVector:
    """A fine-tune that changed everything, of the embedding every other row."""
    generator = torch.Generator().manual_seed(3)
    shapes = {n: p.shape for n, p in skeleton(tiny_base).named_parameters()}
    dense = {n: torch.randn(s, generator=generator) / 5 for n, s in shapes.items() if n != EMBEDDING}
    rows = torch.arange(0, shapes[EMBEDDING][0], 2)
    return TaskVector(dense, {EMBEDDING: (rows, torch.randn(len(rows), shapes[EMBEDDING][1], generator=generator))})


@pytest.fixture
def subject(tiny_base, task_vector) -> ModelText:
    return ModelText(tiny_base, task_vector, TEXTS, LABELS, 32, seed=5)


def per_example_loop(subject: ModelText, labels: list[int]) -> dict[str, torch.Tensor]:
    """The definition, one example and one backward pass at a time."""
    model, total = subject.model, {}
    for tokens, label in zip(subject.encoded, labels, strict=True):
        model.zero_grad()
        torch.log_softmax(model(input_ids=torch.tensor([tokens])).logits, -1)[0, label].backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                total[name] = total.get(name, 0) + parameter.grad.double() ** 2 / len(labels)
    return total


def test_fisher_is_the_mean_square_of_per_example_gradients(subject):
    expected = per_example_loop(subject, LABELS)
    found = fisher(subject, examples=5, empirical=True)
    assert set(found) == set(subject.trained_parameters()) == set(expected)
    for name, value in found.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-3, atol=1e-9)


def test_fisher_draws_its_labels_from_the_model_and_from_its_seed(tiny_base, task_vector, subject):
    first = fisher(subject, examples=5)
    again = fisher(ModelText(tiny_base, task_vector, TEXTS, LABELS, 32, seed=5), examples=5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    gold_has_no_part = fisher(ModelText(tiny_base, task_vector, TEXTS, [2] * 5, 32, seed=5), examples=5)
    assert all(torch.equal(first[name], gold_has_no_part[name]) for name in first)
    others = [fisher(ModelText(tiny_base, task_vector, TEXTS, LABELS, 32, seed=s), examples=5) for s in range(6, 12)]
    assert any(not torch.equal(first["classifier.bias"], other["classifier.bias"]) for other in others)


def test_drawn_labels_follow_what_the_model_predicts(tiny_base, task_vector):
    from workflow_scripts.merging.measurements.fisher import _drawn

    subject = ModelText(tiny_base, task_vector, TEXTS[:1] * 4000, [0] * 4000, 32, seed=1)
    drawn = _drawn(subject, list(range(4000)))
    expected = torch.softmax(torch.from_numpy(subject.logits([0])[0]), -1)
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 4000, expected, atol=0.03)


def test_a_sample_has_no_sentence_twice_and_no_more_than_there_are(subject):
    assert len(set(subject.sample(3))) == 3 and subject.sample(99) == [0, 1, 2, 3, 4]


def test_batches_hold_every_sentence_once_and_one_length_each(subject):
    seen = []
    for positions, ids in subject.batches([4, 0, 1], 1):
        assert len(positions) == len(ids) == 1
        seen += positions.tolist()
        assert ids[0].tolist() == subject.encoded[[4, 0, 1][positions[0]]]
    assert sorted(seen) == [0, 1, 2]


def test_gram_is_the_second_moment_of_the_layers_inputs_without_padding(subject):
    """Against hidden states of a padded batch, its padding taken out by hand."""
    width = max(map(len, subject.encoded))
    ids = torch.tensor([t + [subject.vocabulary.pad] * (width - len(t)) for t in subject.encoded])
    mask = torch.tensor([[1] * len(t) + [0] * (width - len(t)) for t in subject.encoded])
    with torch.no_grad():
        states = subject.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    found = gram(subject, examples=5)
    for layer in range(2):
        x = states[layer][mask.bool()].double()
        for part in ("query", "key", "value"):
            name = f"bert.encoder.layer.{layer}.attention.self.{part}.weight"
            torch.testing.assert_close(found[name].double(), x.T @ x / len(x), rtol=1e-4, atol=1e-6)
    pooler = states[-1][:, 0].double()  # it sees one token per sentence
    expected = pooler.T @ pooler / len(pooler)
    torch.testing.assert_close(found["bert.pooler.dense.weight"].double(), expected, rtol=1e-4, atol=1e-6)


def test_values_of_rows_that_were_not_trained_are_left_out(subject, task_vector):
    values = {EMBEDDING: torch.ones(len(subject.vocabulary.ids), 2)}
    rows, kept = subject.task_vector_like(values).rows[EMBEDDING]
    assert rows.tolist() == [i for i in subject.vocabulary.ids.tolist() if i % 2 == 0] and len(kept) == len(rows)


# --- merges


def merged_with(tmp_path, method, vectors, measurements, weights, **parameters):
    """Merge task vectors that have measurements: source → list of vectors."""
    paths = [write_vector(tmp_path / f"{i}.safetensors", v) for i, v in enumerate(vectors)]
    sources = [
        replace(source, measurements=tuple(write_vector(tmp_path / f"s{i}{j}.safetensors", v) for j, v in enumerate(m)))
        for i, (source, m) in enumerate(zip(sources_of(paths, weights), measurements, strict=True))
    ]
    out = tmp_path / "merged.safetensors"
    merge_files(sources, method, parameters, out, {"base": "base"})
    return read_vector(out, {"e": 4})


def test_fisher_merge_by_hand(tmp_path):
    # source 0: F = 1, 3, mean 2 → 0.5, 1.5; source 1: F = 6, 2, mean 4 → 1.5, 0.5; weights 1/4, 3/4
    found = merged_with(
        tmp_path,
        "fisher",
        [{"a": [1.0, 2.0]}, {"a": [3.0, 4.0]}],
        [[{"a": [1.0, 3.0]}], [{"a": [6.0, 2.0]}]],
        [0.25, 0.75],
    )
    first = (0.25 * 0.5 * 1 + 0.75 * 1.5 * 3) / (0.25 * 0.5 + 0.75 * 1.5)
    second = (0.25 * 1.5 * 2 + 0.75 * 0.5 * 4) / (0.25 * 1.5 + 0.75 * 0.5)
    np.testing.assert_allclose(found["a"], [first, second], rtol=1e-6)


def test_fisher_takes_the_mean_over_trained_elements_and_floors_after_it(tmp_path):
    # of four rows each source trained one; elsewhere its F is 1e-6, and its τ is 0
    vectors = [{"e": Rows([0], [[2.0]])}, {"e": Rows([2], [[4.0]])}]
    measurements = [[{"e": Rows([0], [[8.0]])}], [{"e": Rows([2], [[5.0]])}]]
    found = merged_with(tmp_path, "fisher", vectors, measurements, [0.5, 0.5])
    np.testing.assert_allclose(found["e"][:, 0], [2 / (1 + 1e-6), 0, 4 / (1 + 1e-6), 0], rtol=1e-6)


def test_fisher_of_two_texts_is_their_mean(tmp_path):
    vectors = [{"a": [1.0, 2.0]}, {"a": [3.0, 5.0]}]
    both = [[{"a": [1.0, 7.0]}, {"a": [3.0, 1.0]}], [{"a": [2.0, 2.0]}, {"a": [4.0, 2.0]}]]
    mean = [[{"a": [2.0, 4.0]}], [{"a": [3.0, 2.0]}]]
    results = []
    for name, measurements in (("both", both), ("mean", mean)):
        (tmp_path / name).mkdir()
        results.append(merged_with(tmp_path / name, "fisher", vectors, measurements, [0.5, 0.5])["a"])
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_fisher_without_any_information_is_an_error(tmp_path):
    with pytest.raises(XlmergeError, match=f"Fisher information of {NAMES[0]} sums to 0"):
        merged_with(tmp_path, "fisher", [{"a": [1.0]}, {"a": [2.0]}], [[{"a": [0.0]}], [{"a": [1.0]}]], [0.5, 0.5])


def test_regmean_solves_its_least_squares_problem(tmp_path):
    """min over W of Σ wᵢ‖XᵢWᵀ − XᵢWᵢᵀ‖²/nᵢ, solved by stacking √(wᵢ/nᵢ)·Xᵢ."""
    generator = np.random.default_rng(0)
    inputs = [generator.standard_normal((n, 3)) for n in (20, 50)]
    tau = [generator.standard_normal((4, 3)).astype(np.float32) for _ in inputs]
    weights = [0.3, 0.7]
    grams = [[{"w": x.T @ x / len(x)}] for x in inputs]
    vectors = [{"w": t, "b": [float(i)]} for i, t in enumerate(tau)]
    found = merged_with(tmp_path, "regmean", vectors, grams, weights, alpha=1.0)
    scaled = [np.sqrt(w / len(x)) * x for w, x in zip(weights, inputs, strict=True)]
    targets = [s @ t.T for s, t in zip(scaled, tau, strict=True)]
    expected = np.linalg.lstsq(np.vstack(scaled), np.vstack(targets), rcond=None)[0].T
    np.testing.assert_allclose(found["w"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["b"], [0.7], rtol=1e-6)  # no linear layer's weight: the weighted mean


def test_regmean_without_off_diagonals_weighs_each_input_by_its_power(tmp_path):
    # alpha 0: every column is a mean weighted by wᵢ·Gᵢ[j, j]
    vectors = [{"w": [[1.0, 1.0]]}, {"w": [[3.0, 5.0]]}]
    grams = [[{"w": [[1.0, 9.0], [9.0, 2.0]]}], [{"w": [[3.0, 9.0], [9.0, 2.0]]}]]
    found = merged_with(tmp_path, "regmean", vectors, grams, [0.5, 0.5], alpha=0.0)
    np.testing.assert_allclose(found["w"], [[(1 + 9) / 4, (2 + 10) / 4]], rtol=1e-6)


def test_regmean_merges_the_weights_of_a_silent_input_linearly(tmp_path):
    vectors = [{"w": [[1.0, 1.0]]}, {"w": [[3.0, 5.0]]}]
    grams = [[{"w": [[1.0, 0.0], [0.0, 0.0]]}], [{"w": [[1.0, 0.0], [0.0, 0.0]]}]]
    found = merged_with(tmp_path, "regmean", vectors, grams, [0.25, 0.75])
    np.testing.assert_allclose(found["w"], [[2.5, 4.0]], rtol=1e-6)


def test_regmean_may_be_drawn_to_another_merge(tmp_path):
    # each column alone: (Σ wᵢGᵢ[j]τᵢ[j] + ε·anchor)/(Σ wᵢGᵢ[j] + ε), ε = 0.1·tr/d; the second input is silent
    vectors = [{"w": [[1.0, 1.0]]}, {"w": [[3.0, 5.0]]}]
    grams = [[{"w": [[2.0, 0.0], [0.0, 0.0]]}], [{"w": [[6.0, 0.0], [0.0, 0.0]]}]]
    found = merged_with(tmp_path, "regmean", vectors, grams, [0.5, 0.5], anchor="average")
    np.testing.assert_allclose(found["w"], [[(1 + 9 + 0.2 * 2) / 4.2, 3]], rtol=1e-6)
    found = merged_with(tmp_path, "regmean", vectors, grams, [0.5, 0.5], ridge=0.5)
    np.testing.assert_allclose(found["w"], [[10 / 5, 0]], rtol=1e-6)


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_one_source_stays_as_it_is(method, tmp_path):
    values = [[1.0, -2.0], [0.5, 3.0]]
    measurement = [[2.0, 0.5], [0.5, 1.0]]
    found = merged_with(tmp_path, method, [{"w": values}], [[{"w": measurement}]], [1.0])
    np.testing.assert_allclose(found["w"], values, rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "parameters", "tier"),
    [
        ("fisher", {}, "none"),
        ("fisher", {"text": "target"}, "unlabelled"),
        ("fisher", {"text": "both", "empirical": True}, "labelled training"),
        ("regmean", {"text": "both"}, "unlabelled"),
        ("regmean", {"text": "both", "statistics": "free"}, "none"),
        ("adamerging", {}, "unlabelled"),
        ("distill", {}, "unlabelled"),
        ("ties", {}, "none"),
    ],
)
def test_what_a_method_sees_of_the_target(method, parameters, tier):
    assert load_method(method, parameters).supervision == tier


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("hierarchical", {"inner": "fisher"}),
        ("layer_swap", {"middle": "regmean"}),
        ("hierarchical", {"outer": "adamerging"}),
        ("per_source", {"inner": "fisher"}),
        ("per_source", {"outer": "regmean"}),
    ],
)
def test_combinators_refuse_methods_that_need_data(method, parameters):
    with pytest.raises(XlmergeError, match="which needs data"):
        load_method(method, parameters)
