"""The cell cache: only what is missing is scored, and merges that coincide are made once."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.unit.helpers import write_vector
from workflow_scripts.core.atomic import read_json, write_json
from workflow_scripts.core.digests import digest_of_files, write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.lookup import recording
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.evaluation.cells import CellCache, cached_scores, targets_of, token_entry
from workflow_scripts.evaluation.packs import SPLITS, Scores, read_pack
from workflow_scripts.jobs import check_merges, merge_models
from workflow_scripts.merging.merge_cells import MergeJob, facts_entry
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


SCORING = {"evaluation": {"max_length": 128}, "code": "c"}


def cache_in(tmp_path, model="m", base="b", **scoring):
    return CellCache({**SCORING, **scoring, "cache": str(tmp_path)}, model, base)


def ask(cache, inputs):
    """Return what the scorer was asked for, and what the job's record says was computed."""
    scorer = FakeScorer()
    with recording() as record:
        packs = cached_scores(cache, targets_of(LOCALES, inputs), scorer)
    for split in SPLITS:
        for locale in LOCALES:
            assert packs[split][locale].digest() == scores_of(locale, split).digest()
    return scorer.asked, record.facts()["computed"]


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


@pytest.mark.parametrize("change", [{"model": "n"}, {"base": "a"}, {"code": "d"}, {"evaluation": {"max_length": 64}}])
def test_a_cell_is_known_by_everything_that_shapes_it(inputs, tmp_path, change):
    ask(cache_in(tmp_path), inputs)
    assert ask(cache_in(tmp_path, **change), inputs) == (EVERYTHING, LOCALES)


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
    assert "dropping a damaged entry of the cache" in capsys.readouterr().err
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
    cost = making_cost(tmp_path, targets)
    assert (cost["wall_seconds"], cost["setup_seconds"], cost["setups"]) == (2 * 10 + 6, 20, 2)
    assert making_cost(tmp_path, targets[:1])["wall_seconds"] == 12
    assert cost["peak_memory_mb"] > 10 and cost["gpu_seconds"] == 0


def making_cost(tmp_path, targets):
    with recording() as record:
        cached_scores(cache_in(tmp_path), targets, lambda missing: pytest.fail("all is cached"))
    return record.facts()["making_cost"]


def test_the_tokens_of_a_cell_are_in_use_even_if_nobody_reads_them(inputs, tmp_path):
    cache, targets = cache_in(tmp_path), targets_of(LOCALES, inputs)
    data = [target.digests[split] for target in targets for split in SPLITS]
    wanted = {token_entry(cache_in(tmp_path)._scoring, "b", digest).key for digest in data}
    for _ in range(2):
        with recording() as record:
            cached_scores(cache, targets, FakeScorer())
        assert set(record.facts()["cache_entries"]) == wanted | {cache.entry(digest).key for digest in data}


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
        "cache": str(tmp_path / "cache"),
    }
    by_method = {"average": "1", "similarity": "2", "ties": "3", "layer_swap": "4"}
    codes = {name: by_method[entry["method"]] for name, entry in merges.items()}
    return {"target": "t", "models": [["a", 0], ["b", 0]], "merges": merges, "codes": codes, "scoring": scoring}


def complete(inputs, settings):
    """Return the job, and what its record says after its results were made."""
    job = MergeJob(inputs, settings)
    with recording() as record:
        job.complete(1)
        job.results()
    return job, record.facts()


def test_merges_are_scored_as_base_plus_merged_task_vector(merge_inputs, tmp_path):
    merges = {"avg": merge_entry("average", "a", "b"), "one": merge_entry("average", "b")}
    job, made = complete(merge_inputs, merge_settings(tmp_path, **merges))
    cost = made["making_cost"]
    assert made["computed"] == ["avg", "one"]
    assert cost["setups"] == 1 and cost["wall_seconds"] > cost["setup_seconds"] > 0
    _, again = complete(merge_inputs, merge_settings(tmp_path, **merges, two=merges["one"]))
    assert again == {**made, "computed": []}
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

    def computed(settings):
        return complete(merge_inputs, settings)[1]["computed"]

    assert computed(settings) == ["x", "z"]
    assert computed(settings) == []
    path = write_vector(
        tmp_path / "b.safetensors", {"classifier.bias": [0, 0, 6.0]}, base=base_digest(merge_inputs["base"])
    )
    write_digest(path.with_suffix(".digest"), digest_of_files(path))
    assert computed(settings) == ["x", "z"], "a source was trained anew"
    other_code = {**settings, "codes": {**settings["codes"], "z": "new"}}
    assert computed(other_code) == ["z"]
    job = MergeJob(merge_inputs, settings)
    assert job.identities["x"] == job.identities["y"] != job.identities["z"]
    assert json.dumps(job.results()[1]["x"]) == json.dumps(job.results()[1]["y"])


def test_a_merge_that_cannot_be_made_does_not_cost_the_others_and_is_tried_again(merge_inputs, tmp_path, capsys):
    merges = {"good": merge_entry("average", "a", "b"), "bad": merge_entry("layer_swap", "a", "b", bottom=99)}
    merges["bad"]["top1"] = "a"  # a baseline is made from it
    settings = merge_settings(tmp_path, **merges) | {"seed": 0}
    outputs = {name: str(tmp_path / f"out/{name}") for name in ("test", "validation", "facts", "failures", "digest")}
    for _ in range(2):
        facts = merge_models.main(merge_inputs, outputs, settings, 1)
        assert (facts["merges"], facts["failed"]) == (1, 1)
        record = read_json(outputs["failures"])
        assert "0 ≤ bottom ≤ top" in record["failed"].pop("bad") and record == {"target": "t", "seed": 0, "failed": {}}
        assert "without a merge for t: bad: layer_swap: need 0 ≤ bottom" in capsys.readouterr().err
        assert set(read_json(outputs["facts"])) == {"good"}


def test_a_target_for_which_no_merge_can_be_made_is_an_error(merge_inputs, tmp_path):
    bad = merge_entry("layer_swap", "a", "b", bottom=99)
    merges = {"one": bad, "two": bad, "average_all": merge_entry("average", "a", "b")}
    with pytest.raises(XlmergeError, match=r"no merge for t can be made; one, two: layer_swap: need 0 ≤ bottom"):
        MergeJob(merge_inputs, merge_settings(tmp_path, **merges)).complete(1)


def test_a_run_in_which_merges_failed_fails_at_last_and_withdraws_what_is_to_be_tried_again(tmp_path):
    failed = {"a": {}, "b": {"ties_k3": "it diverged"}}
    records = {name: {"target": "de-DE", "seed": 1, "failed": reasons} for name, reasons in failed.items()}
    paths = {name: str(tmp_path / name) for name in [*records, "complete"]}
    for name, record in records.items():
        write_json(paths[name], record)
    inputs, settings = {"failures": [paths["a"], paths["b"]]}, {"report": "report.html"}
    told = r"1 merge could not be made, all else is done \(report.html\)\. ties_k3 for de-DE, seed 1: it diverged\."
    with pytest.raises(XlmergeError, match=told):
        check_merges.main(inputs, {"complete": paths["complete"]}, settings, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    check_merges.main({"failures": [paths["a"]]}, {"complete": paths["complete"]}, settings, 1)
    assert (tmp_path / "complete").exists()


def test_the_facts_of_a_merge_that_are_damaged_are_made_again(merge_inputs, tmp_path, capsys):
    settings = merge_settings(tmp_path, x=merge_entry("average", "a", "b"))
    job, _ = complete(merge_inputs, settings)
    path = facts_entry(settings["scoring"], job.identities["x"]).path
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert complete(merge_inputs, settings)[1]["computed"] == ["x"]
    assert path.read_bytes() == content and "dropping a damaged entry" in capsys.readouterr().err


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
