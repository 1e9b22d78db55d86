"""Intervals and metrics against formulas worked out by hand."""

import math

import numpy as np
import pytest
import torch

from workflow_scripts.core.intervals import clustered_accuracy
from workflow_scripts.evaluation.metrics import expected_calibration_error, macro_f1, probabilities
from workflow_scripts.evaluation.packs import Scores

# --- accuracies of clustered items


def wilson(p, n, z=1.959963984540054):
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return centre - half, centre + half


@pytest.mark.parametrize(("right", "n"), [(7, 10), (0, 5), (5, 5), (150, 300)])
def test_single_item_clusters_give_plain_wilson(right, n):
    found = clustered_accuracy(np.arange(n) < right, np.arange(n))
    assert (found.value, found.n, found.clusters, found.n_effective) == (right / n, n, n, n)
    assert (found.low, found.high) == pytest.approx(wilson(right / n, n), abs=1e-12)


def test_wilson_of_a_textbook_example():
    # 81 of 263: 0.2553 to 0.3662 (Newcombe 1998, table I)
    found = clustered_accuracy(np.arange(263) < 81, np.arange(263))
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


def test_design_effect_by_hand():
    # Three clusters of sizes 3, 2, 1 with 3, 0, 1 right; p = 4/6.
    # Residual sums: 3 − 3p = 1, 0 − 2p = −4/3, 1 − p = 1/3; squares 1 + 16/9 + 1/9 = 26/9.
    # Variance 3/2 · 26/9 / 36 = 13/108; independent p(1 − p)/6 = 1/27 = 4/108; design effect 13/4.
    found = clustered_accuracy(np.array([1, 1, 1, 0, 0, 1]), np.array(["a", "a", "a", "b", "b", "c"]))
    assert found.n_effective == pytest.approx(6 * 4 / 13)
    assert (found.low, found.high) == pytest.approx(wilson(2 / 3, 24 / 13), abs=1e-9)
    assert (found.n, found.clusters) == (6, 3)


def test_the_order_of_items_does_not_matter():
    correct, clusters = np.array([1, 0, 1, 1, 0, 0]), np.array([0, 1, 0, 2, 1, 2])
    order = [3, 1, 5, 0, 2, 4]
    assert clustered_accuracy(correct[order], clusters[order]) == clustered_accuracy(correct, clusters)


def test_effective_n_is_never_above_n():
    # clusters with nearly the same accuracy vary less than independent items would
    correct, clusters = np.array([1, 0, 1, 0, 1, 0, 1, 1]), np.repeat([0, 1, 2, 3], 2)
    assert clustered_accuracy(correct, clusters).n_effective == 8


@pytest.mark.parametrize("value", [0, 1])
def test_where_all_items_agree_the_clusters_count(value):
    found = clustered_accuracy(np.full(12, value), np.repeat(range(4), 3))
    assert (found.value, found.n_effective) == (value, 4)
    assert (found.low, found.high) == pytest.approx(wilson(value, 4), abs=1e-12)


def test_one_cluster_is_one_observation():
    assert clustered_accuracy(np.array([1, 0, 1, 1]), np.zeros(4)).n_effective == 1


def test_clusters_of_equal_accuracy_do_not_depend_on_rounding():
    halves = clustered_accuracy(np.array([1, 0] * 6), np.repeat(range(6), 2))  # residuals exactly 0
    thirds = clustered_accuracy(np.array([1, 0, 0] * 4), np.repeat(range(4), 3))  # residuals about 1e-17
    assert (halves.n_effective == halves.clusters) == (thirds.n_effective == thirds.clusters)


def test_mean_correctness_of_several_models():
    # items 1, ½, ½, 0 in clusters {1, ½}, {½, 0}: p = ½, residual sums ½, −½, variance 2/1 · ½ / 16 = 1/16,
    # independent ¼/4 = 1/16: effective n 4
    found = clustered_accuracy(np.array([1, 0.5, 0.5, 0]), np.array([0, 0, 1, 1]))
    assert found.value == 0.5
    assert found.n_effective == pytest.approx(4)


# --- macro F1, calibration


def test_macro_f1_by_hand():
    # intent 0: tp 2, fp 1, fn 0 → 4/5; intent 1: tp 0 → 0; intent 2: tp 1, fp 0, fn 1 → 2/3
    labels = np.array([0, 0, 1, 2, 2])
    predictions = np.array([0, 0, 3, 2, 0])
    assert macro_f1(predictions, labels) == pytest.approx((4 / 5 + 0 + 2 / 3) / 3)  # 3 is predicted but not present


def test_probabilities_of_large_logits():
    found = probabilities(np.array([[1000.0, 1000.0 + math.log(3)]]))
    assert found.tolist() == [pytest.approx([0.25, 0.75])]


def logits_with_confidence(confidence):
    return np.log(np.array([[c, 1 - c] for c in confidence]))


def test_calibration_error_by_hand():
    # Bins of 1/15: [9/15, 10/15) holds 0.61 (right) and 0.65 (wrong), [13/15, 14/15) holds 0.9 (right), 15 the 0.99.
    confidence = [0.61, 0.65, 0.9, 0.99]
    labels = np.array([0, 1, 0, 1])
    gaps = [2 / 4 * abs(0.5 - 0.63), 1 / 4 * abs(1 - 0.9), 1 / 4 * abs(0 - 0.99)]
    found = expected_calibration_error(logits_with_confidence(confidence), np.zeros(4, np.int16), labels)
    assert found == pytest.approx(sum(gaps))


def test_full_confidence_is_in_the_last_bin():
    # confidence 1 (wrong) and 0.95 (right) share a bin: |½ − 0.975|
    logits = np.array([[100.0, 0.0], *logits_with_confidence([0.95])])
    assert expected_calibration_error(logits, np.array([0, 0]), np.array([1, 0])) == pytest.approx(0.475)


# --- scores


def test_scores_against_torch():
    generator = np.random.default_rng(0)
    logits = (10 * generator.normal(size=(50, 7))).astype(np.float32)
    labels = generator.integers(0, 7, 50)
    scores = Scores.of(logits, labels)
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits).double(), torch.tensor(labels), reduction="none")
    np.testing.assert_allclose(scores.losses, expected.numpy(), rtol=1e-6, atol=1e-7)
    assert scores.losses.dtype == np.float32
    np.testing.assert_array_equal(scores.predictions, torch.tensor(logits).argmax(1).numpy())
    np.testing.assert_array_equal(scores.correct, scores.predictions == labels)
    np.testing.assert_array_equal(scores.logits, logits.astype(np.float16))
    assert scores.accuracy == np.mean(logits.argmax(1) == labels)


def test_losses_of_extreme_logits_are_finite_and_exact():
    scores = Scores.of(np.array([[1e4, 0, 0], [0, 0, 0]], np.float32), np.array([1, 2]))
    assert scores.losses.tolist() == [pytest.approx(1e4), pytest.approx(math.log(3))]


def test_predictions_come_from_float32_logits():
    # 1.0001 and 1.0002 are the same number in float16
    scores = Scores.of(np.array([[1.0001, 1.0002]], np.float32), np.array([1]))
    assert scores.logits[0, 0] == scores.logits[0, 1]
    assert scores.predictions[0] == 1
