"""Metrics of one system on one locale, from stored logits."""

import numpy as np
from sklearn.metrics import f1_score

CALIBRATION_BINS = 15


def macro_f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean F1 over the intents present in `labels` (n,)."""
    return float(f1_score(labels, predictions, labels=np.unique(labels), average="macro", zero_division=0))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits (n, L) in float64."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    exponential = np.exp(shifted)
    return exponential / exponential.sum(1, keepdims=True)


def expected_calibration_error(logits: np.ndarray, predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return Σ_b n_b/n · |accuracy_b − confidence_b| over 15 equal bins of confidence.

    Guo et al. 2017 (arXiv 1706.04599).
    """
    confidence = np.take_along_axis(probabilities(logits), predictions[:, None].astype(int), 1)[:, 0]
    correct = predictions == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(float(correct[bins == b].mean() - confidence[bins == b].mean())) * float((bins == b).mean())
        for b in np.unique(bins)
    ]
    return float(sum(gaps))
