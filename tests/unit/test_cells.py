"""The cell cache: only what is missing is scored, and merges that coincide are made once."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.unit.helpers import write_vector
from workflow_scripts.core.digests import digest_of_files, write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.evaluation.cells import CellCache, cached_scores, cell_cache, targets_of
from workflow_scripts.evaluation.packs import SPLITS, Scores, read_pack
from workflow_scripts.merging.merge_cells import MergeJob
from workflow_scripts.models.checkpoints import base_digest

LOCALES = ["de-DE", "en-US", "fr-FR"]


@pytest.fixture
def inputs(tmp_path):
    """Digest files of three locales; the tables themselves are not needed."""
    found = {f"{split}_{kind}": [] for split in SPLITS for kind in ("tables", "digests")}
    for locale in LOCALES:
        for split in SPLITS:
            path = tmp_path / f"{locale}-{split}.digest"
            write_digest(path, f"digest of {locale} {split}")
            found[f"{split}_tables"].append(f"{locale}-{split}.parquet")
            found[f"{split}_digests"].append(str(path))
    return found


class FakeScorer:
    """Scores that tell where they come from, and a record of what was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, missing):
        self.asked.append([(target.locale, split) for target, split in missing])
        for target, split in missing:
            yield (target, split), scores_of(target.locale, split)


def scores_of(locale, split):
    logits = np.zeros((2, 3), np.float32)
    logits[0, LOCALES.index(locale)] = 1 + SPLITS.index(split)
    return Scores.of(logits, np.array([0, 1]))


def cache_in(tmp_path, model="m", settings=None):
    return CellCache(tmp_path / "cells", model, settings or {"evaluation": {}, "code": "c"})


def ask(cache, inputs):
    scorer = FakeScorer()
    packs, computed = cached_scores(cache, targets_of(LOCALES, inputs), scorer)
    for split in SPLITS:
        for locale in LOCALES:
            assert packs[split][locale].digest() == scores_of(locale, split).digest()
    return scorer.asked, computed


EVERYTHING = [[(locale, split) for locale in LOCALES for split in SPLITS]]


def test_targets_take_their_files_by_position(inputs):
    target = targets_of(LOCALES, inputs)[1]
    assert target.locale == "en-US"
    assert target.tables == {"test": "en-US-test.parquet", "validation": "en-US-validation.parquet"}
    assert target.digests == {"test": "digest of en-US test", "validation": "digest of en-US validation"}


def test_everything_is_scored_once(inputs, tmp_path):
    assert ask(cache_in(tmp_path), inputs) == (EVERYTHING, LOCALES)
    assert ask(cache_in(tmp_path), inputs) == ([], [])


def test_other_data_of_one_split_is_one_cell(inputs, tmp_path):
    ask(cache_in(tmp_path), inputs)
    write_digest(inputs["test_digests"][1], "edited")
    assert ask(cache_in(tmp_path), inputs) == ([[("en-US", "test")]], ["en-US"])
    write_digest(inputs["test_digests"][1], "digest of en-US test")
    assert ask(cache_in(tmp_path), inputs) == ([], []), "a reverted edit costs nothing"


@pytest.mark.parametrize("change", [{"model": "n"}, {"settings": {"evaluation": {}, "code": "d"}}])
def test_another_model_or_other_code_shares_nothing(inputs, tmp_path, change):
    ask(cache_in(tmp_path), inputs)
    assert ask(cache_in(tmp_path, **change), inputs) == (EVERYTHING, LOCALES)


@pytest.mark.parametrize("key", ["evaluation", "code", "base", "model"])
def test_a_cell_is_known_by_everything_that_shapes_it(inputs, tmp_path, key):
    scoring = {"evaluation": {"max_length": 128}, "code": "c", "cache": str(tmp_path)}
    ask(cell_cache(scoring, "m", "b"), inputs)
    changed = {"evaluation": {"max_length": 64}, "code": "d"}.get(key)
    other = cell_cache(
        {**scoring, **({key: changed} if changed else {})},
        "n" if key == "model" else "m",
        "a" if key == "base" else "b",
    )
    assert ask(other, inputs)[0] == EVERYTHING


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_entry_is_reported_dropped_and_made_again(inputs, tmp_path, damage, capsys):
    ask(cache_in(tmp_path), inputs)
    victim = sorted((tmp_path / "cells").rglob("*.safetensors"))[2]
    content, whole = victim.read_bytes(), read_pack(victim, "cell")
    end = {"flip": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-1], "empty": b""}
    victim.write_bytes(end[damage])
    asked, computed = ask(cache_in(tmp_path), inputs)
    assert [len(cells) for cells in asked] == [1]
    assert len(computed) == 1
    assert "dropping a damaged cell" in capsys.readouterr().err
    assert read_pack(victim, "cell").digest() == whole.digest()
    assert ask(cache_in(tmp_path), inputs) == ([], [])


def test_what_was_scored_before_an_error_is_kept(inputs, tmp_path):
    def killed(missing):
        yield from list(FakeScorer()(missing))[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_scores(cache_in(tmp_path), targets_of(LOCALES, inputs), killed)
    assert ask(cache_in(tmp_path), inputs) == ([EVERYTHING[0][4:]], ["fr-FR"])


def test_the_cost_of_a_cell_is_that_of_its_making(inputs, tmp_path):
    """Ten seconds to get ready and one per cell, the clock being wound by the scorer."""
    clock = {"now": 0.0}

    def score(missing):
        clock["now"] += 10

        def scores():
            for found in FakeScorer()(missing):
                clock["now"] += 1
                yield found

        return scores()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: clock["now"])
        targets = targets_of(LOCALES, inputs)
        cached_scores(cache_in(tmp_path), targets[:2], score)
        cached_scores(cache_in(tmp_path), targets, score)
    cost = cache_in(tmp_path).making_cost(targets)
    assert (cost["wall_seconds"], cost["setup_seconds"], cost["setups"]) == (2 * 10 + 6, 20, 2)
    assert cache_in(tmp_path).making_cost(targets[:1])["wall_seconds"] == 12
    assert cost["peak_memory_mb"] > 10 and cost["gpu_seconds"] == 0


# --- merges

TEXTS = ["licht an", "licht aus", "musik lauter", "wetter morgen", "wie wird das wetter"]


@pytest.fixture
def merge_inputs(tiny_base, tmp_path):
    """Two sources that moved only the classifier's bias, by 2 for intent 0 and by 4 for intent 2."""
    found = {"base": str(tiny_base), "base_digest": str(tmp_path / "base.digest"), "models": [], "model_digests": []}
    base = base_digest(tiny_base)
    write_digest(found["base_digest"], base)
    for name, bias in (("a", [2.0, 0, 0]), ("b", [0, 0, 4.0])):
        path = write_vector(tmp_path / f"{name}.safetensors", {"classifier.bias": bias}, base=base)
        write_digest(path.with_suffix(".digest"), digest_of_files(path))
        found["models"].append(str(path))
        found["model_digests"].append(str(path.with_suffix(".digest")))
    table = pd.DataFrame({"id": TEXTS, "text": TEXTS, "label": [0, 0, 1, 2, 2], "cluster": TEXTS})
    for split, rows in zip(SPLITS, (table, table[1:]), strict=True):
        write_examples(rows, tmp_path / f"{split}.parquet")
        write_digest(tmp_path / f"{split}.digest", examples_digest(rows))
        found[f"{split}_tables"] = [str(tmp_path / f"{split}.parquet")]
        found[f"{split}_digests"] = [str(tmp_path / f"{split}.digest")]
    return found


def merge_entry(method, *sources, **parameters):
    weights = [1 / len(sources)] * len(sources)
    return {
        "method": method,
        "parameters": parameters,
        "sources": list(sources),
        "models": [[s, 0] for s in sources],
        "weights": weights,
    }


def merge_settings(tmp_path, **merges):
    scoring = {
        "evaluation": {"batch_tokens": 64, "max_length": 32},
        "code": "c",
        "cache": str(tmp_path / "cache/cells"),
    }
    by_method = {"average": "1", "similarity": "2", "ties": "3"}
    codes = {name: by_method[entry["method"]] for name, entry in merges.items()}
    return {"target": "t", "models": [["a", 0], ["b", 0]], "merges": merges, "codes": codes, "scoring": scoring}


def test_merges_are_scored_as_base_plus_merged_task_vector(merge_inputs, tmp_path):
    merges = {"avg": merge_entry("average", "a", "b"), "one": merge_entry("average", "b")}
    job = MergeJob(merge_inputs, merge_settings(tmp_path, **merges))
    assert job.complete(1) == ["avg", "one"]
    cost = job.making_cost()
    assert cost["setups"] == 1 and cost["wall_seconds"] > cost["setup_seconds"] > 0
    again = MergeJob(merge_inputs, merge_settings(tmp_path, **merges, two=merges["one"]))
    assert again.complete(1) == [] and again.making_cost() == cost
    packs, facts = job.results()
    one, avg = (packs["test"][name].logits.astype(float) for name in ("one", "avg"))
    # biases (0, 0, 4) and (1, 0, 2) on the same encoder
    np.testing.assert_allclose(avg - one, np.tile([1, 0, -2], (5, 1)), atol=0.01)
    assert facts["avg"]["head"] == {"elements": 3, "density": pytest.approx(2 / 3), "norm": pytest.approx(5**0.5)}


def test_merges_that_coincide_are_made_once_and_again_only_when_their_content_changes(merge_inputs, tmp_path):
    merges = {
        "x": merge_entry("average", "a", "b"),
        "y": merge_entry("average", "a", "b"),
        "z": merge_entry("similarity", "a", "b"),
    }
    settings = merge_settings(tmp_path, **merges)
    assert MergeJob(merge_inputs, settings).complete(1) == ["x", "z"]
    assert MergeJob(merge_inputs, settings).complete(1) == []
    path = write_vector(
        tmp_path / "b.safetensors", {"classifier.bias": [0, 0, 6.0]}, base=base_digest(merge_inputs["base"])
    )
    write_digest(path.with_suffix(".digest"), digest_of_files(path))
    assert MergeJob(merge_inputs, settings).complete(1) == ["x", "z"], "a source was trained anew"
    other_code = {**settings, "codes": {**settings["codes"], "z": "new"}}
    assert MergeJob(merge_inputs, other_code).complete(1) == ["z"]
    job = MergeJob(merge_inputs, settings)
    assert job.identities["x"] == job.identities["y"] != job.identities["z"]
    assert json.dumps(job.results()[1]["x"]) == json.dumps(job.results()[1]["y"])


def test_a_source_that_was_replaced_is_refused(merge_inputs, tmp_path):
    write_vector(tmp_path / "b.safetensors", {"classifier.bias": [0, 0, 5.0]}, base=base_digest(merge_inputs["base"]))
    job = MergeJob(merge_inputs, merge_settings(tmp_path, avg=merge_entry("average", "a", "b")))
    with pytest.raises(XlmergeError, match=r"b\.safetensors is damaged or was replaced"):
        job.complete(1)


def test_a_source_of_another_base_is_refused(merge_inputs, tmp_path):
    path = write_vector(tmp_path / "b.safetensors", {"classifier.bias": [0, 0, 4.0]}, base="another")
    write_digest(path.with_suffix(".digest"), digest_of_files(path))
    job = MergeJob(merge_inputs, merge_settings(tmp_path, avg=merge_entry("average", "a", "b")))
    with pytest.raises(XlmergeError, match=r"b\.safetensors is a task vector against the base another"):
        job.complete(1)
