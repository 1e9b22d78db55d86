"""Bad input: one clear message that names the thing and the remedy, a non-zero exit code, and nothing half-made.

One run shows how a message of each kind reaches the terminal; the other messages are those that the run would show.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import preset, snakemake
from tests.dataset import edit_line, local_config, write_dataset
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.jobs.prepare_data import main as prepare_data
from workflow_scripts.study.study import load_study

BLOCK = {"name": "block", "fixed": {"num_languages": 2}, "sweep": {"method": ["average"]}}


def block(**changes: Any) -> list[dict[str, Any]]:
    return [{**BLOCK, **changes}]


BEFORE_ANY_JOB = {
    "unknown key": ({"lables": ["a", "b"]}, ["unknown key 'lables'", "did you mean 'labels'"]),
    "unknown nested key": ({"finetune": {"learning_rat": 1.0e-3}}, ["finetune.learning_rat", "'learning_rate'"]),
    "number as text": ({"finetune": {"learning_rate": "fast"}}, ["finetune.learning_rate", "'fast'"]),
    "misspelt method": ({"ablations": block(sweep={"method": ["tiess"]})}, ["'tiess'", "did you mean 'ties'"]),
    "misspelt similarity": ({"ablations": block(fixed={"similarity_type": "URIELL"})}, ["'URIELL'", "'uriel'"]),
    "misspelt parameter": ({"ablations": block(fixed={"method": "ties", "densty": 0.1}, sweep={})}, ["'densty'", "'density'"]),
    "parameter out of range": ({"ablations": block(fixed={"method": "ties", "density": 2}, sweep={})}, ["density", "less than or equal to 1"]),
    "unknown provider": ({"data": {"provider": "home_asistant"}}, ["'home_asistant'", "did you mean 'home_assistant'"]),
    "unknown locale": ({"locales": ["en-US", "de-DE", "xx-XX"]}, ["home_assistant has no locale 'xx-XX'"]),
    "misspelt locale": ({"locales": ["en-US", "de-DE", "es-EZ"]}, ["'es-EZ'", "did you mean 'es-ES'"]),
    "locale twice": ({"locales": ["en-US", "de-DE", "de-DE"]}, ["listed twice: de-DE"]),
    "too many sources": ({"ablations": block(fixed={"num_languages": 3})}, ["num_languages is 3", "only 2 candidate sources"]),
    "unknown target": ({"ablations": block(fixed={"num_languages": 2, "locales": ["de-AT"]})}, ["'de-AT'", "did you mean 'de-DE'"]),
    "another base in model_family": ({"ablations": block(fixed={"num_languages": 2, "model_family": "xlm-roberta-base"})}, ["xlm-roberta-base", "tiny_encoder"]),
    "missing base folder": ({"base": "./no/such/folder"}, ["there is no folder './no/such/folder'"]),
    "missing data folder": ({"data": {"provider": "local_files", "folder": "nowhere"}}, ["no folder 'nowhere'"]),
    "no experiments": ({"ablations": []}, ["ablations"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BEFORE_ANY_JOB)
def test_a_study_with_it_cannot_be_loaded(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, expected = BEFORE_ANY_JOB[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(XlmergeError) as error:
        load_study(preset("tiny", **changes))
    for text in expected:
        assert text in str(error.value)


def test_a_bad_config_is_said_before_any_job_starts(tmp_path: Path) -> None:
    changes, expected = BEFORE_ANY_JOB["misspelt method"]
    done = snakemake(tmp_path, preset("tiny", **changes), true=True)
    assert done.returncode == 1
    for text in ["xlmerge: ", *expected]:
        assert text in done.stdout.replace("\n", " "), done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "results").exists(), "a job started"


def test_locale_without_uriel_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "data", ["en-US", "de-DE", "qq-QQ"])
    with pytest.raises(XlmergeError, match=r"(?s)needs language codes.*languages:\n  qq-QQ: "):
        load_study(local_config(["en-US", "de-DE", "qq-QQ"]))


IN_THE_DATA = {
    "unknown label": (lambda p: edit_line(p, 3, '"on"', '"onn"'), ["de-DE.jsonl, line 3", "unknown label 'onn'", "'on'"]),
    "bad encoding": (lambda p: p.write_bytes(p.read_bytes() + b'{"utt": "\xff"}'), ["de-DE.jsonl, line 49", "not UTF-8"]),
    "empty file": (lambda p: p.write_text(""), ["de-DE.jsonl is empty"]),
    "missing column": (lambda p: p.write_text(p.read_text().replace('"utt"', '"text"')), ["no column 'utt'", "_column"]),
    "no validation rows": (lambda p: p.write_text(p.read_text().replace('"dev"', '"train"')), ["no row has partition = 'dev'"]),
    "empty text": (lambda p: edit_line(p, 2, "de turn on the garden lamp", " "), ["line 2", "empty text"]),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_THE_DATA)
def test_bad_data_is_named_with_file_and_line(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage, expected = IN_THE_DATA[case]
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "data", ["en-US", "de-DE", "es-ES"])
    damage(tmp_path / "data" / "de-DE.jsonl")
    study = load_study(local_config(["en-US", "de-DE", "es-ES"]))
    settings = {"data": study.run.data.model_dump(), "labels": study.labels, "locale": "de-DE"}
    settings |= {"max_length": study.max_length, "trained": True}
    outputs = {"table": "table.parquet", "digest": "table.digest"}
    with pytest.raises(XlmergeError) as error:
        for split in ("test", "validation", "train"):
            prepare_data({}, outputs, {**settings, "split": split}, 1)
    for text in expected:
        assert text in str(error.value)


def test_bad_data_stop_a_run_before_a_training(tmp_path: Path) -> None:
    damage, expected = IN_THE_DATA["unknown label"]
    write_dataset(tmp_path / "data", ["en-US", "de-DE", "es-ES"])
    damage(tmp_path / "data" / "de-DE.jsonl")
    done = snakemake(tmp_path, local_config(["en-US", "de-DE", "es-ES"]), "results/own/models/de-DE/seed0/model.digest")
    assert done.returncode == 1
    for text in expected:
        assert text in done.stdout.replace("\n", " "), done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "results/own/models").exists(), "a training started"


def test_labels_left_out_are_listed_ready_to_paste(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "data", ["en-US", "de-DE", "es-ES"])
    config = local_config(["en-US", "de-DE", "es-ES"])
    del config["labels"]
    with pytest.raises(XlmergeError, match=r"labels: \['off', 'on'\]"):
        load_study(config)


def test_training_that_learns_nothing_is_an_error(tmp_path: Path) -> None:
    one_epoch = {"learning_rate": 1.0e-12, "epochs": 1, "min_steps": 1, "retries": 0, "freeze_embeddings": True}
    done = snakemake(tmp_path, preset("tiny", finetune=one_epoch), "models")
    assert done.returncode == 1 and "training learned nothing" in done.stdout and "learning_rate" in done.stdout


def test_base_that_does_not_match_its_config(tmp_path: Path) -> None:
    assert snakemake(tmp_path, preset("tiny"), "results/tiny/base/base.digest").returncode == 0
    folder = tmp_path / "results/tiny/base/model"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    done = snakemake(tmp_path, preset("tiny", run="other", base=str(folder)), "results/other/base/base.digest")
    assert done.returncode == 1 and "does not match its own config" in done.stdout
    assert not (tmp_path / "results/other/base/model").exists()


def test_intent_missing_in_training_is_warned_of(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", ["en-US", "de-DE", "es-ES"])
    config = local_config(["en-US", "de-DE", "es-ES"]) | {"labels": ["on", "off", "dim"]}
    done = snakemake(tmp_path, config, "data")
    assert done.returncode == 0
    assert "labels without a training sentence: en-US (dim), de-DE (dim), es-ES (dim)" in done.stdout
