"""The look at the data: what is counted, what is said of it, and the command that shows it before a run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, preset, xlmerge
from tests.dataset import LOCALES, edit_line, local_config, write_dataset
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.look import findings, stage_lines, too_few_labels
from workflow_scripts.data.making import look_at
from workflow_scripts.data.providers.local_files import Settings
from workflow_scripts.study.study import load_study

LABELS = ["on", "off"]
SETTINGS = Settings(
    folder="data", text_column="utt", label_column="intent", split_column="partition", split_names={"validation": "dev"}
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data of three locales, in which commands are called."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "data", LOCALES)
    return tmp_path


def rows(locale: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(f"data/{locale}.jsonl").read_text().splitlines()]


def write(locale: str, changed: list[dict[str, str]]) -> None:
    Path(f"data/{locale}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))


def look(trained: list[str] = LOCALES, **more):
    return look_at(SETTINGS, LOCALES, LABELS, trained, **{"max_length": 128, **more})


def test_healthy_data_are_counted_and_nothing_is_said_of_them():
    counted, problems = look()
    assert not problems and not findings(counted)
    assert counted["de-DE", "train"] == {
        "n": 30, "dropped": 0, "ignored": {}, "clusters": 30, "per_label": {"on": 15, "off": 15}, "missing": [],
        "long": 0, "max_length": 128,
    }  # fmt: skip
    assert stage_lines(counted) == ["data: 3 locales; sentences of each: training 30, validation 6, test 12"]


def test_rows_that_vanish_are_said():
    changed = rows("de-DE")
    for row in changed:
        row["partition"] = {"train": "extra"}.get(row["partition"], row["partition"])
    kept = [{**row, "partition": "train"} for row in changed if row["partition"] == "test"]
    write("de-DE", changed + kept + [{**kept[0], "utt": "noch eins"}, {**kept[-1], "utt": "und aus"}])
    counted, problems = look()
    assert not problems
    assert findings(counted) == [
        "rows left out, because of the name of their split: de-DE 30 'extra'",
        "sentences left out, because a held-out split has them too: de-DE 12 of 14 (training)",
    ]
    assert stage_lines(counted)[1:] == [f"  {line}" for line in findings(counted)]


def test_one_repeated_sentence_in_a_hundred_is_not_worth_a_line():
    facts = {
        "n": 99,
        "dropped": 1,
        "ignored": {},
        "per_label": {"a": 1, "b": 1},
        "missing": [],
        "long": 0,
        "max_length": 9,
    }
    assert not findings({("de-DE", "train"): facts})
    assert findings({("de-DE", "train"): {**facts, "dropped": 2}})


def test_missing_labels_and_long_texts_are_said_per_locale():
    changed = [row for row in rows("es-ES") if (row["partition"], row["intent"]) != ("test", "off")]
    write("es-ES", [{**changed[0], "utt": "muy " * 129}, {**changed[1], "utt": "很" * 300}, *changed[2:]])
    assert findings(look()[0]) == [
        "labels without a test sentence: es-ES (off)",
        "one label only: es-ES (test)",
        "texts that are cut, being longer than about 128 tokens: es-ES 2 (training)",
    ]


def test_a_line_names_a_few_places_and_counts_the_others():
    counted = look(max_length=1)[0]
    assert findings(counted, most=2)[0].endswith("en-US 12 (test), en-US 6 (validation) and 7 more")


@pytest.mark.parametrize(("split", "why"), [("train", "nothing to learn"), ("dev", "cannot be judged")])
def test_a_locale_with_one_intent_is_an_error_where_it_is_trained(split, why):
    write("de-DE", [row for row in rows("de-DE") if row["partition"] != split or row["intent"] == "on"])
    problems = look()[1]
    assert len(problems) == 1 and "de-DE: all" in problems[0] and "have the label 'on'" in problems[0]
    assert why in problems[0] and "learning_rate" not in problems[0]
    assert look(trained=["en-US", "es-ES"])[1] == []


def test_the_job_of_a_locale_with_one_intent_fails_before_a_training():
    from workflow_scripts.jobs.prepare_data import main

    write("de-DE", [row for row in rows("de-DE") if row["intent"] == "on"])
    settings = {"data": SETTINGS.model_dump(), "labels": LABELS, "locale": "de-DE", "split": "train", "max_length": 9}
    outputs = {"table": "t.parquet", "digest": "t.digest"}
    with pytest.raises(XlmergeError, match="nothing to learn"):
        main({}, outputs, {**settings, "trained": True}, 1)
    assert main({}, outputs, {**settings, "trained": False}, 1)["per_label"] == {"on": 15, "off": 0}
    assert too_few_labels("de-DE", "test", {"n": 1, "per_label": {"on": 1, "off": 0}}) is None


# --- the command


def config(**changes) -> str:
    Path("own.yaml").write_text(yaml.safe_dump(local_config(LOCALES, **changes)))
    return "own.yaml"


def test_the_command_counts_per_locale_split_and_label():
    done = xlmerge("check", "--configfile", config(), "--labels")
    assert done.exit_code == 0 and "Nothing stands in the way of a run." in done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["de-DE", "30", "6", "12", "0", "0", "2"] in lines
    assert ["on", "45", "9", "18", "15", "(en-US)"] in lines
    assert ["es-ES", "off", "15", "3", "6"] in lines


def test_the_command_says_all_problems_at_once():
    edit_line(Path("data/de-DE.jsonl"), 3, '"on"', "null")
    write("es-ES", [row for row in rows("es-ES") if row["partition"] != "dev" or row["intent"] == "on"])
    done = xlmerge("check", "--configfile", config())
    assert done.exit_code == 1
    assert "error: data/de-DE.jsonl, line 3: empty label" in done.output
    assert "error: es-ES: all 3 validation sentences have the label 'on'" in done.output
    assert "2 errors." in done.output and "None" not in done.output


def test_the_command_reads_the_data_of_the_folder_that_is_named(folder, tmp_path_factory, monkeypatch):
    file = str(Path(config()).resolve())
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert xlmerge("check", "--configfile", file, "--directory", folder).exit_code == 0
    assert "no folder 'data'" in xlmerge("check", "--configfile", file).output


def test_the_command_fetches_what_has_to_be_fetched():
    from tests.massive import write_archive

    write_archive(Path("massive.tar.gz"), LOCALES)
    data = {"provider": "massive", "path": "massive.tar.gz"}
    Path("m.yaml").write_text(yaml.safe_dump(preset("tiny", locales=LOCALES, labels=None, data=data)))
    done = xlmerge("check", "--configfile", "m.yaml")
    assert done.exit_code == 0, done.output
    assert ["de-DE", "240", "60", "120", "0", "0", "60"] in [line.split() for line in done.output.splitlines()]


def test_looking_needs_neither_torch_nor_the_hubs_libraries():
    code = "import sys; from workflow_scripts.cli.main import main\ntry: main(sys.argv[1:])\n"
    code += "finally: print(*{'torch', 'transformers', 'datasets'} & set(sys.modules), 'were loaded')"
    words = [sys.executable, "-c", code, "check", "--configfile", config()]
    done = subprocess.run(words, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == " were loaded".strip(), done


def test_all_unknown_locales_are_named_at_once_with_a_block_to_paste():
    names = ["en-US", "de-DE", "qq-QQ", "xx-AB"]
    write_dataset(Path("data"), names)
    uriel = local_config(names)
    with pytest.raises(XlmergeError) as error:
        load_study(uriel)
    block = str(error.value)[str(error.value).index("languages:") :]
    pasted = yaml.safe_load(block)
    assert list(pasted["languages"]) == ["qq-QQ", "xx-AB"]
    assert load_study({**uriel, **pasted}).undescribed == []
    with pytest.raises(XlmergeError, match="dd-DE: did you mean"):
        write_dataset(Path("data"), ["dd-DE"])
        load_study(local_config(["en-US", "de-DE", "dd-DE"]))
    fixed = {"num_languages": 2, "similarity_type": "NXN"}
    ablations = [{"name": "b", "fixed": fixed, "sweep": {"method": ["average"]}}]
    Path("own.yaml").write_text(yaml.safe_dump({**uriel, "ablations": ablations}))
    done = xlmerge("check", "--configfile", "own.yaml")
    assert done.exit_code == 0 and "qq-QQ, xx-AB" in done.output and yaml.safe_dump(pasted)
