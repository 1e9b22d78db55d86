"""MASSIVE from its archive, a folder and the hub: the same files whatever they come from, and mistakes named."""

import gzip
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from tests.massive import content, utterance, write_archive, write_hub_cache
from workflow_scripts.core import registry
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.making import make_examples
from workflow_scripts.data.providers.massive import massive
from workflow_scripts.data.providers.massive.facts import LABELS, LOCALES, Settings
from workflow_scripts.data.providers.massive.massive import check, check_labels, fetch, fetched
from workflow_scripts.languages.locales import all_locales
from workflow_scripts.study.study import load_study

FEW = ["de-DE", "en-US", "zh-CN", "zh-TW"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "massive.tar.gz", FEW)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fetch_from(path: Path, folder: Path, intents: tuple[str, ...] = LABELS) -> dict[str, object]:
    return fetch(Settings(path=str(path)), list(intents), folder)


def repack(path: Path, member: str, text: bytes) -> Path:
    with tarfile.open(path, "w:gz") as out:
        info = tarfile.TarInfo(member)
        info.size = len(text)
        out.addfile(info, io.BytesIO(text))
    return path


# --- what MASSIVE is


def test_there_are_52_locales_and_60_intents() -> None:
    assert len(set(LOCALES)) == 52 and list(LOCALES) == sorted(LOCALES)
    assert len(set(LABELS)) == 60 and LABELS[0] == "datetime_query" and LABELS[59] == "lists_query"
    assert set(LOCALES) <= set(all_locales()), "every locale has its language codes"
    check(Settings(), list(LOCALES))


@pytest.mark.parametrize("options", [{"release": "1.0"}, {"source": "hub"}])
def test_catalan_is_only_in_the_archive_of_release_1_1(options: dict[str, str]) -> None:
    check(Settings(**options), [name for name in LOCALES if name != "ca-ES"])
    with pytest.raises(XlmergeError, match=r"has no ca-ES: use the archive of release 1\.1"):
        check(Settings(**options), ["de-DE", "ca-ES"])


def test_mistakes_in_the_config_are_named(tmp_path: Path) -> None:
    with pytest.raises(XlmergeError, match="no locale 'de-De'; did you mean 'de-DE'"):
        check(Settings(), ["de-De"])
    with pytest.raises(XlmergeError, match="no file or folder"):
        check(Settings(path=str(tmp_path / "nowhere")), ["de-DE"])
    with pytest.raises(XlmergeError, match="'alarm_sett'; did you mean 'alarm_set'"):
        check_labels(Settings(), ["alarm_sett", "alarm_query"])
    with pytest.raises(ValueError, match="`path` belongs to"):
        Settings(source="hub", path="x")
    with pytest.raises(ValueError, match="lacks id"):
        Settings(columns={"text": "utt", "label": "intent"})


# --- the archive


def test_archive_and_folder_give_the_same_files(archive: Path, tmp_path: Path) -> None:
    facts = fetch_from(archive, tmp_path / "a")
    assert facts["rows"] == {name: {"train": 240, "validation": 60, "test": 120} for name in FEW}
    assert facts["missing"] == [name for name in LOCALES if name not in FEW]
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    for folder in ("unpacked", "unpacked/1.1", "unpacked/1.1/data"):
        shutil.rmtree(tmp_path / "b", ignore_errors=True)
        fetch_from(tmp_path / folder, tmp_path / "b")
        assert files(tmp_path / "b") == files(tmp_path / "a")


def test_rows_are_read_as_a_users_own_files_and_keep_the_parallel_ids(archive: Path, tmp_path: Path) -> None:
    fetch_from(archive, tmp_path / "data")
    tables = {x: make_examples(fetched(str(tmp_path / "data")), x, "test", list(LABELS), []).table for x in FEW}
    first = tables["de-DE"].iloc[0]
    expected = utterance("de-DE", 300, "test")
    assert (first["id"], first["text"], LABELS[first["label"]]) == (expected["id"], expected["utt"], expected["intent"])
    for table in tables.values():
        assert table["cluster"].tolist() == table["id"].tolist() == tables["de-DE"]["id"].tolist()
        assert table["label"].tolist() == tables["de-DE"]["label"].tolist()


def test_what_duplicates_cost_falls_on_training_and_leaves_the_test_set_parallel(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in content("de-DE", {"train": 2, "dev": 1, "test": 1}).splitlines()]
    lines[0]["utt"] = lines[1]["utt"] = lines[-1]["utt"]  # twice in training, once in the test set
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    fetch_from(repack(tmp_path / "m.tar.gz", "1.1/data/de-DE.jsonl", text), tmp_path / "data")
    tables: list[pd.DataFrame] = []
    dropped = []
    for split in ("test", "validation", "train"):
        made = make_examples(fetched(str(tmp_path / "data")), "de-DE", split, list(LABELS), tables)
        tables.append(made.table)
        dropped.append(made.dropped)
    assert dropped == [0, 0, 2] and [len(t) for t in tables] == [60, 60, 118]


def test_other_intents_and_the_held_out_partition_are_left_out(tmp_path: Path) -> None:
    text = content("de-DE", {"train": 1, "heldout": 1}).encode()
    facts = fetch_from(repack(tmp_path / "m.tar.gz", "1.1/data/de-DE.jsonl", text), tmp_path / "d", LABELS[:3])
    assert facts["rows"] == {"de-DE": {"train": 3}}


BROKEN = {
    "no JSON": (b'{"id": "0"\n', r"de-DE\.jsonl, line 1: not an utterance"),
    "no text": (b'{"id": "0", "partition": "test"}\n', r"line 1: not an utterance of MASSIVE \(KeyError: 'utt'\)"),
    "an unknown intent": (
        json.dumps({**utterance("de-DE", 0, "test"), "intent": "alarm_sett"}).encode(),
        r"line 1: unknown intent 'alarm_sett'; did you mean 'alarm_set'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_line_that_is_no_utterance_is_named(case: str, tmp_path: Path) -> None:
    text, message = BROKEN[case]
    with pytest.raises(XlmergeError, match=message):
        fetch_from(repack(tmp_path / "m.tar.gz", "1.1/data/de-DE.jsonl", text), tmp_path / "d")


def test_a_damaged_or_wrong_archive_is_named(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"<html>not found</html>", b""):
        archive.write_bytes(damaged)
        with pytest.raises(XlmergeError, match=r"massive\.tar\.gz is no complete archive"):
            fetch_from(archive, tmp_path / "d")
    with pytest.raises(XlmergeError, match="holds no data of MASSIVE"):
        fetch_from(repack(archive, "1.1/README", b"x"), tmp_path / "d")


def test_a_locale_that_was_not_fetched_is_named(archive: Path, tmp_path: Path) -> None:
    fetch_from(archive, tmp_path / "data")
    with pytest.raises(XlmergeError, match=r"no file .*fr-FR/\w+\.jsonl for locale 'fr-FR'"):
        make_examples(fetched(str(tmp_path / "data")), "fr-FR", "test", list(LABELS), [])


def test_the_archive_is_downloaded_once_and_again_if_it_is_damaged(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XLMERGE_CACHE", str(tmp_path / "cache"))
    served = tmp_path / "served" / "amazon-massive-dataset-1.1.tar.gz"
    served.parent.mkdir()
    shutil.copy(archive, served)
    monkeypatch.setattr(
        "workflow_scripts.data.providers.massive.archive.URL",
        f"file://{served.parent}/amazon-massive-dataset-{{release}}.tar.gz",
    )
    first = fetch(Settings(), list(LABELS), tmp_path / "a")
    assert first["origin"] == str(tmp_path / "cache" / served.name)
    in_cache = Path(first["origin"])
    whole = in_cache.read_bytes()
    in_cache.write_bytes(whole[:-20] + bytes(20))
    fetch(Settings(), list(LABELS), tmp_path / "again")
    assert in_cache.read_bytes() == whole and "made again" in capfd.readouterr().err
    served.unlink()
    fetch(Settings(), list(LABELS), tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b") and len(files(tmp_path / "a")) == 3 * len(FEW)


def test_an_archive_that_was_put_into_the_cache_by_hand_is_taken_if_it_is_whole(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLMERGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("workflow_scripts.data.providers.massive.archive.URL", "file:///no/{release}.tar.gz")
    place = tmp_path / "cache" / "1.1.tar.gz"
    place.parent.mkdir()
    content = archive.read_bytes()
    place.write_bytes(content[:-6] + b"x" + content[-5:])
    with pytest.raises(XlmergeError, match=r"1\.1\.tar\.gz is no complete archive"):
        fetch(Settings(), list(LABELS), tmp_path / "a")
    place.write_bytes(content)
    assert fetch(Settings(), list(LABELS), tmp_path / "a")["rows"]


def test_without_a_network_the_error_says_where_to_put_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLMERGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "workflow_scripts.data.providers.massive.archive.URL",
        "http://127.0.0.1:9/amazon-massive-dataset-{release}.tar.gz",
    )
    with pytest.raises(
        XlmergeError, match=r"cannot be downloaded.*put it at .*cache/amazon-massive-dataset-1\.0\.tar\.gz"
    ):
        fetch(Settings(release="1.0"), list(LABELS), tmp_path / "d")
    assert not list((tmp_path / "cache").glob("[!.]*")), "half a file was left behind"


# --- the hub

MTEB = "mteb/amazon_massive_intent"
PARQUET = "AmazonScience/massive"


def with_configs(language: dict[str, str]) -> dict[str, str | bytes]:
    """Return a dataset with a config per language in its card, and gzipped JSON lines."""
    made: dict[str, str | bytes] = {}
    configs = []
    for locale, name in language.items():
        rows = [json.loads(line) for line in content(locale, {"train": 4, "dev": 1, "test": 2}).splitlines()]
        for split, partition in (("train", "train"), ("validation", "dev"), ("test", "test")):
            lines = [
                json.dumps(
                    {"id": r["id"], "label": r["intent"], "label_text": r["intent"], "text": r["utt"], "lang": name}
                )
                for r in rows
                if r["partition"] == partition
            ]
            made[f"{split}/{name}.json.gz"] = gzip.compress("\n".join(lines).encode())
        data_files = [{"split": s, "path": f"{s}/{name}.json.gz"} for s in ("train", "validation", "test")]
        configs.append({"config_name": name, "data_files": data_files})
    return {"README.md": f"---\n{yaml.safe_dump({'configs': configs})}---\n", **made}


def with_folders(locales: list[str]) -> dict[str, str | bytes]:
    """Return a dataset with a folder per locale, parquet files, and numbers for intents."""
    from datasets import ClassLabel, Dataset

    made: dict[str, str | bytes] = {}
    for locale in locales:
        rows = [json.loads(line) for line in content(locale, {"train": 4, "dev": 1, "test": 2}).splitlines()]
        for split, partition in (("train", "train"), ("validation", "dev"), ("test", "test")):
            chosen = [{k: r[k] for k in ("id", "utt", "intent")} for r in rows if r["partition"] == partition]
            table = Dataset.from_list(chosen).cast_column("intent", ClassLabel(names=list(LABELS)))
            buffer = io.BytesIO()
            table.to_parquet(buffer)
            made[f"{locale}/{split}/0000.parquet"] = buffer.getvalue()
    return made


FETCH = """
import json, sys
from pathlib import Path
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.providers.massive.facts import LABELS, Settings
from workflow_scripts.data.providers.massive.massive import fetch
try:
    print(json.dumps(fetch(Settings(**json.loads(sys.argv[1])), list(LABELS), Path(sys.argv[2]))))
except XlmergeError as error:
    print("XlmergeError", error)
"""


def fetch_offline(home: Path, folder: Path, **options: object) -> str:
    """Fetch in a process of its own, which cannot reach the hub: its settings are read when the library is imported."""
    words = [sys.executable, "-c", FETCH, json.dumps({"source": "hub", **options}), str(folder)]
    environment = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(home)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_hubs_configs_give_the_same_files_as_the_archive(archive: Path, tmp_path: Path) -> None:
    languages = {"de-DE": "de", "en-US": "en", "zh-CN": "zh-CN", "zh-TW": "zh-TW"}
    write_hub_cache(tmp_path / "home", MTEB, with_configs(languages))
    facts = json.loads(fetch_offline(tmp_path / "home", tmp_path / "hub"))
    assert facts["origin"] == f"{MTEB}@main" and sorted(facts["rows"]) == FEW
    fetch_from(archive, tmp_path / "archive")
    assert files(tmp_path / "hub") == files(tmp_path / "archive")


def test_folders_of_parquet_files_with_numbered_classes_and_other_columns(archive: Path, tmp_path: Path) -> None:
    write_hub_cache(tmp_path / "home", PARQUET, with_folders(FEW))
    columns = {"id": "id", "text": "utt", "label": "intent"}
    facts = json.loads(fetch_offline(tmp_path / "home", tmp_path / "hub", hub=PARQUET, columns=columns))
    assert sorted(facts["rows"]) == FEW
    fetch_from(archive, tmp_path / "archive")
    assert files(tmp_path / "hub") == files(tmp_path / "archive")
    said = fetch_offline(tmp_path / "home", tmp_path / "no", hub=PARQUET)
    assert "has no column 'text' (it has: id, utt, intent); see `columns`" in said


def test_what_the_cache_lacks_is_said_with_the_remedy(tmp_path: Path) -> None:
    said = fetch_offline(tmp_path / "home", tmp_path / "d")
    assert said.startswith("XlmergeError") and f"{MTEB}@main" in said and "`snakemake data`" in said
    write_hub_cache(tmp_path / "home", MTEB, {"massive.py": "import datasets\n", "README.md": "script\n"})
    said = fetch_offline(tmp_path / "home", tmp_path / "d")
    assert said.startswith("XlmergeError") and "is not made of data files" in said


# --- presets


@pytest.mark.parametrize("name", ["massive", "massive-large"])
def test_the_presets_have_the_49_locales_of_the_older_study(name: str) -> None:
    study = load_study(yaml.safe_load((ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8")))
    assert set(study.run.locales) == set(LOCALES) - {"he-IL", "sv-SE", "zh-CN"}
    assert study.labels == list(massive.LABELS) and study.run.run == name
    assert study.run.base.name == {"massive": "xlm-roberta-base", "massive-large": "xlm-roberta-large"}[name]


def test_a_provider_of_several_files_is_a_folder_whose_module_bears_its_name():
    assert registry.load("data provider", "MASSIVE") is massive
    assert registry.resolve("data provider", "local_files").endswith(".providers.local_files")
