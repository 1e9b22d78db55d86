"""Features of a merge, computed by hand for three locales."""

import numpy as np
import pytest

from workflow_scripts.findings.predictor.evidence import Validation
from workflow_scripts.findings.predictor.features import Knowledge, feature_table, merge_features

LOCALES = ["a", "b", "c", "t"]


def matrix(values):
    return np.array(values, float)


def language(family="F", script="S", text=1.0):
    return {"family": family, "genus": "G", "script": script, "cc100_gib": text}


def known(**changes):
    facts = {
        "locales": LOCALES,
        "languages": {"a": language(), "b": language(text=3.0), "c": language("X", "Z", 7.0), "t": language(text=0.0)},
        "titles": {"plain": "average", "trimmed": "ties"},
        "tiers": {"SIM": "none", "TEXT": "unlabelled", "REAL": "labelled training"},
        "similarities": {
            ("SIM", 0): matrix([[1, 0.2, 0.3, 9], [0.4, 1, 0.5, 9], [9, 9, 1, 9], [0.6, 0.1, 0.8, 1]]),
            ("TEXT", 0): matrix(np.full((4, 4), 0.5)),
            ("REAL", 0): matrix(np.full((4, 4), 0.7)),
        },
        "validation": {0: matrix([[0, 0, 0, 0.4], [0, 0, 0, 0.6], [0, 0, 0, 0.7], [0, 0, 0, 0.8]])},
        "agreement": {("t", 0): matrix([[1, 0.3, 0, 0], [0.3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])},
        **changes,
    }
    return Knowledge(**facts)


def entry(*sources, experiment="plain", seed=0):
    return {
        "experiment": experiment, "target": "t", "seed": seed, "effective_sources": 1.9,
        "sources": [{"locale": s, "weight": 1 / len(sources)} for s in sources],
    }  # fmt: skip


def test_features_by_hand():
    found = merge_features(entry("a", "b"), known())
    assert found["none"] == {
        "sources": 2,
        "effective sources": 1.9,
        "method: average": 1.0,
        "method: ties": 0.0,
        "share of sources of its family": 1.0,
        "share of sources of its genus": 1.0,
        "share of sources of its script": 1.0,
        "log GiB of text, target": 0.0,
        "log GiB of text, sources": pytest.approx((np.log(2) + np.log(4)) / 2),
        "SIM to sources": pytest.approx(0.35),
        "SIM to the nearest": 0.8,
        "SIM among sources": pytest.approx(0.3),
    }
    assert found["unlabelled"]["sources agree on the target"] == pytest.approx(0.3)
    assert {name.split()[0] for name in found["unlabelled"]} == {"TEXT", "sources"}
    assert found["labelled validation"] == {
        "best zero-shot": 0.7,
        "best source": 0.6,
        "mean source": pytest.approx(0.5),
        "spread of sources": pytest.approx(0.1),
    }
    assert found["labelled training"]["self"] == 0.8
    assert found["labelled training"]["ZS/self"] == pytest.approx(0.875)
    assert "REAL to sources" in found["labelled training"]


def test_one_source_has_no_pairs():
    found = merge_features(entry("c"), known())
    assert not any("among" in name or "agree" in name for values in found.values() for name in values)
    assert found["none"]["share of sources of its family"] == 0


def test_what_never_varies_or_is_unknown_is_left_out():
    entries = [entry("a", "b"), entry("b", "c", experiment="trimmed")]
    table, tiers = feature_table(entries, known())
    assert list(table.index) == [("plain", "t"), ("trimmed", "t")]
    assert "share of sources of its script" in table and "TEXT to sources" not in table and "self" not in table
    assert tiers["best source"] == "labelled validation" and tiers["SIM to sources"] == "none"
    languages = {**known().languages, "t": {"family": "unknown", "genus": "unknown", "script": "S"}}
    table, _ = feature_table(entries, known(languages=languages))
    assert "share of sources of its family" not in table and "share of sources of its script" in table


def test_seeds_are_averaged():
    facts = known()
    facts.validation[1] = facts.validation[0] + 0.1
    both = known(
        validation=facts.validation,
        similarities=facts.similarities | {(name, 1): m for (name, _), m in facts.similarities.items()},
        agreement=facts.agreement | {("t", 1): facts.agreement["t", 0]},
    )
    entries = [entry("a", "b"), entry("a", "c", seed=1), entry("a", experiment="trimmed")]
    table, _ = feature_table(entries, both)
    assert table.loc[("plain", "t"), "best source"] == pytest.approx((0.6 + 0.8) / 2)


def test_agreement_counts_equal_predictions():
    predictions = {("a", 0): np.array([1, 2, 3, 4]), ("b", 0): np.array([1, 2, 0, 0]), ("c", 0): np.array([1, 0, 0, 0])}
    found = Validation(np.arange(4), predictions, {}).agreement(["a", "b", "c"], 0)
    assert found.tolist() == [[1, 0.5, 0.25], [0.5, 1, 0.75], [0.25, 0.75, 1]]


def test_accuracy_on_validation_data_is_the_mean_over_seeds():
    correct = {("m", 0): np.array([True, True, False, False]), ("m", 1): np.array([True, False, False, False])}
    found = Validation(np.arange(4), {}, correct).accuracy([("m", 0), ("m", 1)])
    assert found.value == 0.375 and found.low < 0.375 < found.high and found.clusters == 4
