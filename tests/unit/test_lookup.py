"""What is looked up or made: nothing twice, never damaged, and always with what its making was."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT
from workflow_scripts.core import lookup
from workflow_scripts.core.digests import digest_of_files, read_digest, write_digest
from workflow_scripts.core.errors import DiskFullError
from workflow_scripts.core.lookup import SHAPED_BY, Entry, deliver, recording, versions
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.jobs import finetune_model
from workflow_scripts.models.checkpoints import base_digest
from workflow_scripts.models.train_job import FILES
from workflow_scripts.results.run_results import mixed_versions
from workflow_scripts.study.config import Finetune

MADE_OF = {"base": "b", "train": "t", "seed": 0}


@pytest.fixture
def outputs(tmp_path):
    return {name: str(tmp_path / "out" / file) for name, file in FILES.items()}


@pytest.fixture
def job(tmp_path, outputs):
    """Return a job that looks a model up; it returns what its sidecar says."""

    def run(weights=b"weights", kind="models", **made_of):
        entry = Entry(tmp_path / "cache", kind, {**MADE_OF, **made_of}, "de-DE")

        def make(watch):
            with entry.stored({"wall_seconds": 1.5, "peak_memory_mb": 10}) as folder:
                folder.mkdir()
                (folder / FILES["model"]).write_bytes(weights)
                (folder / FILES["training"]).write_text("{}\n")
                write_digest(folder / FILES["digest"], digest_of_files(folder / FILES["model"]))

        with recording() as record:
            deliver(entry, FILES, outputs, make)
        return record.facts()

    return run


def with_version(monkeypatch, library, version):
    changed = {**lookup.versions(), library: version}
    monkeypatch.setattr(lookup, "versions", lambda: changed)


def content(outputs):
    return {name: Path(path).read_bytes() for name, path in outputs.items()}


def entries(tmp_path):
    return sorted(p for p in (tmp_path / "cache/models").glob("*/*") if p.is_dir())


def test_what_was_made_is_looked_up(job, outputs, tmp_path):
    made = job()
    (folder,) = entries(tmp_path)
    assert content(outputs) == {name: (folder / file).read_bytes() for name, file in FILES.items()}
    assert (made["computed"], made["cache_entries"]) == (["de-DE"], [folder.name])
    assert made["making_cost"] == {"wall_seconds": 1.5, "peak_memory_mb": 10} and made["versions"] == versions()
    assert job(b"others") == {**made, "computed": []}, "over existing outputs"
    assert content(outputs)["model"] == b"weights"


@pytest.mark.parametrize("key", MADE_OF)
def test_everything_it_is_made_of_counts(job, key):
    job()
    assert job(**{key: "other"})["computed"] == ["de-DE"]
    assert job(**dict(reversed(MADE_OF.items())))["computed"] == [], "the order of the keys does not count"


@pytest.mark.parametrize("kind", SHAPED_BY)
@pytest.mark.parametrize("library", [*versions()])
def test_another_version_of_a_library_that_shapes_it_makes_it_anew(job, monkeypatch, kind, library):
    job(kind=kind)
    with_version(monkeypatch, library, "0.0.1")
    assert job(kind=kind)["computed"] == (["de-DE"] if library in SHAPED_BY[kind] else [])
    assert job(kind=kind)["computed"] == []


def test_a_build_for_another_device_is_the_same_version(job, monkeypatch):
    with_version(monkeypatch, "torch", "2.9.0+cpu")
    job()
    with_version(monkeypatch, "torch", "2.9.0+cu128")
    assert job()["computed"] == []
    with_version(monkeypatch, "torch", "2.9.1+cpu")
    assert job()["computed"] == ["de-DE"]


def test_a_result_that_is_looked_up_states_the_versions_and_the_machine_of_its_making(job, monkeypatch):
    monkeypatch.setattr("platform.node", lambda: "maker")
    with_version(monkeypatch, "pandas", "0.1")
    made = job()
    monkeypatch.setattr("platform.node", lambda: "looker")
    with_version(monkeypatch, "pandas", "0.2")
    found = job()
    assert found["computed"] == [] and found["versions"] == made["versions"]
    assert (found["versions"]["pandas"], found["made_on"]) == ("0.1", ["maker"])


def test_results_of_several_makings_state_all_their_versions_and_what_all_took(tmp_path, monkeypatch):
    made = [Entry(tmp_path, "cells", {"n": n}, str(n), ".json") for n in range(3)]
    for version, entry in zip("212", made, strict=True):
        with_version(monkeypatch, "pandas", version)
        with entry.stored({"wall_seconds": 2, "peak_memory_mb": int(version)}) as path:
            path.write_text("1")
    with recording() as record:
        assert [entry.get(Path.read_text) for entry in made + made] == ["1"] * 6
    facts = record.facts()
    assert facts["versions"]["pandas"] == "1, 2" and facts["making_cost"] == {"wall_seconds": 6, "peak_memory_mb": 2}
    with recording() as record:
        pass
    assert record.facts() == {"cache_entries": []}


def test_a_mix_of_versions_in_a_run_is_said_by_name(job, monkeypatch):
    sidecars = [job(seed=0), {"versions": {"torch": "0.1"}}]
    assert mixed_versions(sidecars) == ""
    with_version(monkeypatch, "pandas", "0.1")
    with_version(monkeypatch, "torch", lookup.release(versions()["torch"]) + "+another")
    assert mixed_versions([*sidecars, job(seed=1)]) == "", "another build, and a library that shapes nothing"
    with_version(monkeypatch, "torch", "0.1")
    with_version(monkeypatch, "numpy", "0.2")
    mixed = mixed_versions([*sidecars, job(seed=2), job(seed=3)])
    torch, numpy = (lookup.release(sidecars[0]["versions"][name]) for name in ("torch", "numpy"))
    assert mixed == f"numpy 0.2 (2 jobs), {numpy} (1 job); torch 0.1 (2 jobs), {torch} (1 job)"


@pytest.mark.parametrize(
    ("file", "text"), [("model", b"weightz"), ("model", b"weigh"), ("model", b""), ("model", None), ("digest", None)]
)
def test_a_damaged_entry_is_dropped_and_made_again(job, outputs, tmp_path, capsys, file, text):
    job()
    path = entries(tmp_path)[0] / FILES[file]
    path.unlink()  # the output may be a hard link to it
    if text is not None:
        path.write_bytes(text)
    assert job()["computed"] == ["de-DE"]
    assert "dropping a damaged entry" in capsys.readouterr().err
    assert content(outputs)["model"] == b"weights" and len(entries(tmp_path)) == 1


@pytest.mark.parametrize("text", [None, "{", ""])
def test_an_entry_without_the_note_of_its_making_is_made_again(job, tmp_path, capsys, text):
    made = job()
    (note,) = (tmp_path / "cache/models").glob("*/*.making.json")
    note.write_text(text) if text is not None else note.unlink()
    assert job() == made
    assert "dropping a damaged entry" in capsys.readouterr().err


def test_an_output_edited_in_place_is_not_handed_out_again(job, outputs):
    job()
    with open(outputs["model"], "r+b") as handle:  # may be a hard link to the entry
        handle.write(b"W")
    job()
    assert content(outputs)["model"] == b"weights"


def test_a_making_that_fails_leaves_nothing(tmp_path):
    entry = Entry(tmp_path, "cells", {}, "cell", ".json")
    with recording() as record, pytest.raises(KeyboardInterrupt), entry.stored({"wall_seconds": 1}) as path:
        path.write_text("half")
        raise KeyboardInterrupt
    assert not entry.exists() and not [p for p in tmp_path.rglob("*") if p.is_file()]
    assert record.facts() == {"cache_entries": []}


@pytest.mark.parametrize("name", ["finetune_model", "measure_model", "evaluate_row", "merge_models", "train_baselines"])
def test_a_job_that_only_looks_up_loads_no_torch(name):
    code = (
        f"import sys, workflow_scripts.jobs.{name}; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_same_training_is_a_lookup(tiny_base, tmp_path, outputs):
    rows = [(f"{word} {i}", label) for i in range(4) for label, word in enumerate(["licht", "musik", "wetter"])]
    inputs = {"base": str(tiny_base), "base_digest": str(tmp_path / "base.digest")}
    write_digest(inputs["base_digest"], base_digest(tiny_base))
    for split in ("train", "validation"):
        table = pd.DataFrame([{"id": t, "text": t, "label": k, "cluster": t} for t, k in rows])
        inputs |= {split: str(tmp_path / split), f"{split}_digest": str(tmp_path / f"{split}.digest")}
        write_examples(table, inputs[split])
        write_digest(inputs[f"{split}_digest"], examples_digest(table))
    tune = Finetune(learning_rate=3e-3, epochs=4, min_steps=1, batch_size=4, precision="float32").model_dump()
    settings = {
        "finetune": tune,
        "retries": 0,
        "locale": "de-DE",
        "seed": 0,
        "code": "c",
        "cache": str(tmp_path / "cache"),
    }

    def finetune(settings=settings):
        with recording() as record:
            finetune_model.main(inputs, outputs, settings, 1)
        return record.facts()

    facts = finetune()
    assert facts["computed"] == ["de-DE"]
    first = content(outputs)
    assert read_digest(outputs["digest"]) == digest_of_files(outputs["model"])
    assert facts["making_cost"]["cpu_seconds"] > 0
    assert finetune() == {**facts, "computed": []}
    assert content(outputs) == first
    assert not list((tmp_path / "cache" / "training").iterdir()), "the Trainer's checkpoints are left"
    assert finetune({**settings, "seed": 1})["computed"] == ["de-DE"]
    assert content(outputs)["model"] != first["model"]


def test_a_full_disk_costs_no_entry_of_the_cache(job, outputs, tmp_path, monkeypatch):
    job()
    stored = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.*")}

    def full(source, target):
        raise DiskFullError("the disk is full")

    monkeypatch.setattr(lookup, "link_or_copy", full)
    with pytest.raises(DiskFullError):
        job(b"made again")
    assert {path: path.read_bytes() for path in stored} == stored


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_up_in_a_training_is_said_in_one_sentence_and_nothing_is_tried_again(tmp_path):
    code = JOB_ON_A_FULL_DISK.format(folder=tmp_path)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("xlmerge: error in finetune: the disk is full: ") and "training" in line
    assert line.endswith("Free some space and give the same command again; what is done is kept")
    assert "learning_rate" not in done.stderr and done.stdout.split() == ["tried"]


JOB_ON_A_FULL_DISK = """
from functools import partial
from pathlib import Path
from types import SimpleNamespace
import pandas as pd, torch
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.models import attempts, checkpoints, train_job

def fill_up(*_, **__):
    print("tried")
    torch.save({{"a": torch.zeros(1 << 16)}}, "/dev/full")

attempts.finetune_on_gpus = fill_up
checkpoints.verify_base = lambda *_: "base"
table = pd.DataFrame({{"id": ["1"], "text": ["a"], "label": [0], "cluster": ["1"]}})
write_examples(table, "t.parquet")
write_digest("t.digest", examples_digest(table))
inputs = {{"base": "b", "base_digest": "t.digest"}}
inputs |= {{f"{{s}}{{e}}": f"t.{{t}}" for s in ("train", "validation") for e, t in (("", "parquet"), ("_digest", "digest"))}}

def main(inputs, outputs, settings, threads):
    entry = train_job.training_entry(settings, {{"base": "", "train": "", "validation": ""}})
    train_job.train(inputs, settings, entry, 1, None)

settings = '{{"cache": "{folder}/cache", "finetune": {{}}, "locale": "de-DE", "seed": 0, "code": "", "retries": 2}}'
run_job(main, SimpleNamespace(
    rule="finetune", input=inputs, output={{"info": "model.json"}}, params={{"settings": settings, "code": ""}}, log=None,
    resources={{}}, threads=1,
))
"""
