"""Users' own files: every format, every way to split them, and every mistake named with file and line."""

import csv
import io
import json

import pandas as pd
import pytest

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.providers.local_files import Settings, check, labels, load, source_files

INTENTS = ["on", "off"]
ROWS = [
    {"text": "licht an, bitte", "label": "on", "split": "train"},
    {"text": 'licht "aus"', "label": "off", "split": "train"},
    {"text": "NA", "label": "off", "split": "test"},
    {"text": "zeile\neins", "label": "on", "split": "test"},
]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(buffer.getvalue(), encoding="utf-8")


def read(folder, ending=".jsonl", split="train", locale="de-DE", intents=INTENTS, **options):
    settings = Settings(folder=str(folder), **{"files": "{locale}" + ending, **options})
    check(settings, [locale])
    return [row._asdict() for row in load(settings, locale, split, intents).utterances]


# --- formats and splits


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_format_gives_the_rows_of_the_split(tmp_path, ending, split):
    write(tmp_path / f"de-DE{ending}", ROWS)
    found = read(tmp_path, ending, split)
    assert [(r["text"], r["intent"]) for r in found] == [(r["text"], r["label"]) for r in ROWS if r["split"] == split]
    first = 0 if split == "train" else 2
    assert [r["id"] for r in found] == [f"de-DE/{first}", f"de-DE/{first + 1}"]
    assert [r["cluster"] for r in found] == [r["id"] for r in found]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_one_file_per_split(tmp_path, ending):
    for split in ("train", "dev", "test"):
        write(tmp_path / "de-DE" / f"{split}{ending}", [{"text": f"from {split}", "label": "on"}])
    options = {"files": "{locale}/{split}" + ending, "split_names": {"validation": "dev"}}
    found = {split: read(tmp_path, split=split, **options)[0]["text"] for split in ("train", "validation", "test")}
    assert found == {"train": "from train", "validation": "from dev", "test": "from test"}


def test_columns_and_splits_by_other_names(tmp_path):
    rows = [
        {"utt": "licht an", "intent": "on", "partition": "dev", "uid": 7, "group": "g1"},
        {"utt": "licht aus", "intent": "off", "partition": "train", "uid": 8, "group": "g1"},
    ]
    write(tmp_path / "de-DE.jsonl", rows)
    names = {"text_column": "utt", "label_column": "intent", "split_column": "partition", "id_column": "uid"}
    found = read(tmp_path, split="validation", split_names={"validation": "dev"}, cluster_column="group", **names)
    assert found == [{"id": "7", "text": "licht an", "intent": "on", "cluster": "g1"}]


def test_the_id_is_the_default_cluster(tmp_path):
    write(tmp_path / "de-DE.csv", [{**ROWS[0], "uid": "007"}])
    assert read(tmp_path, ".csv", id_column="uid")[0] == {**read(tmp_path, ".csv")[0], "id": "007", "cluster": "007"}


def test_a_csv_from_a_spreadsheet(tmp_path):
    # byte order mark, CRLF, a blank line
    text = "\ufefftext,label,split\r\nlicht an,on,train\r\n\r\nlicht aus,off,train\r\n"
    (tmp_path / "de-DE.csv").write_bytes(text.encode())
    assert [r["text"] for r in read(tmp_path, ".csv")] == ["licht an", "licht aus"]


def test_numbers_stay_as_they_are_spelt_in_a_csv(tmp_path):
    (tmp_path / "de-DE.csv").write_text("text,label,split\n0123,1,train\n")
    assert [(r["text"], r["intent"]) for r in read(tmp_path, ".csv", intents=["1", "2"])] == [("0123", "1")]


def test_each_split_depends_on_its_own_file(tmp_path):
    settings = Settings(folder=str(tmp_path), files="{locale}/{split}.csv", split_names={"validation": "dev"})
    assert source_files(settings, "de-DE", "validation") == [str(tmp_path / "de-DE" / "dev.csv")]


def test_labels_that_are_not_declared_are_listed_ready_to_paste(tmp_path):
    write(tmp_path / "de-DE.jsonl", ROWS)
    write(tmp_path / "fr-FR.jsonl", [{**ROWS[0], "label": "no"}])
    with pytest.raises(XlmergeError, match=r"labels: \['no', 'off', 'on'\]|labels: \['no', off, on\]"):
        labels(Settings(folder=str(tmp_path)), ["de-DE", "fr-FR"])


# --- mistakes

GOOD = '{"text": "licht an", "label": "on", "split": "train"}\n'
HEADER = "text,label,split\n"
MISTAKES = {
    "empty file": ("de-DE.jsonl", "", r"de-DE\.jsonl is empty"),
    "white space only": ("de-DE.csv", "\n \n", r"de-DE\.csv is empty"),
    "not UTF-8": ("de-DE.csv", HEADER.encode() + b"an,on,train\nK\xfcche,on,train\n", r"de-DE\.csv, line 3: not UTF-8.*0xfc"),
    "UTF-16": ("de-DE.jsonl", GOOD.encode("utf-16"), r"de-DE\.jsonl, line 1: not UTF-8"),
    "misspelt column": ("de-DE.csv", "txt,label,split\na,on,train\n", r"de-DE\.csv has no column 'text'; did you mean 'txt'"),
    "no split column": ("de-DE.csv", "text,label\na,on\n", r"de-DE\.csv has no column 'split'"),
    "no such split": ("de-DE.jsonl", GOOD.replace("train", "dev"), r"de-DE\.jsonl: no row has split = 'train' \(found: dev\)"),
    "unknown label": (
        "de-DE.jsonl", GOOD + "\n" + GOOD.replace('"on"', '"onn"'),
        r"de-DE\.jsonl, line 3: unknown label 'onn'; did you mean 'on'",
    ),
    "unknown label after a line break": (
        "de-DE.csv", HEADER + 'a,on,train\n\n"b\nc",off,train\nx,onn,train\n',
        r"de-DE\.csv, line 6: unknown label 'onn'",
    ),
    "unknown label in a tsv": ("de-DE.tsv", "text\tlabel\tsplit\na\tonn\ttrain\n", r"de-DE\.tsv, line 2: unknown label"),
    "unknown label, old line ends": ("de-DE.jsonl", (GOOD * 2 + GOOD.replace('"on"', '"x"')).replace("\n", "\r\n"), "line 3"),
    "line separator in a text": ("de-DE.jsonl", GOOD.replace(" an", "\u2028an") + "\n" + GOOD.replace('"on"', '"x"'), "line 3"),
    "no label": ("de-DE.jsonl", GOOD + '{"text": "a", "split": "train"}\n', r"line 2: empty label"),
    "empty text": ("de-DE.csv", HEADER + "a,on,train\n ,on,train\n", r"de-DE\.csv, line 3: empty text"),
    "null text": ("de-DE.jsonl", GOOD + GOOD.replace('"licht an"', "null"), r"de-DE\.jsonl, line 2: empty text"),
    "null label": ("de-DE.jsonl", GOOD + GOOD.replace('"on"', "null"), r"de-DE\.jsonl, line 2: empty label"),
    "empty label": ("de-DE.csv", HEADER + "a,on,train\nb,,train\n", r"de-DE\.csv, line 3: empty label"),
    "broken JSON": ("de-DE.jsonl", GOOD + "\n" + '{"text": oops}\n' + GOOD, r"de-DE\.jsonl, line 3, column 10: not JSON"),
    "JSON that is cut off": ("de-DE.jsonl", GOOD * 2 + '{"text": ', r"de-DE\.jsonl, line 3, column"),
    "a value for a row": ("de-DE.jsonl", GOOD + "5\n", r"de-DE\.jsonl, line 2: a row must be an object"),
    "bad label in an array": (
        "de-DE.jsonl", f"[{GOOD.strip()}, {GOOD.replace('on', 'onn')}]", r"de-DE\.jsonl, entry 2: unknown label 'onn'"
    ),
    "broken array": ("de-DE.jsonl", f"[{GOOD.strip()},\n oops]", r"de-DE\.jsonl, line 2, column 2: not JSON"),
    "too many fields": ("de-DE.csv", HEADER + "a,on,train\nb,on,train,x\n", r"de-DE\.csv, line 3: 4 fields, but"),
    "unquoted comma in the first row": (
        "de-DE.csv", HEADER + "light on, please,on,train\nb,on,train\n", r"line 2: 4 fields.*\(text, label, split\); quote"
    ),
    "a column twice": ("de-DE.csv", "text,label,text\na,on,b\n", r"de-DE\.csv: the first line names the column 'text' twice"),
    "a quotation mark that is not closed": (
        "de-DE.csv", HEADER + 'a,on,train\n"b,on,train\n' + "c,on,train\n" * 20_000, r"line 3: .*quotation mark missing"
    ),
    "bad label after a very long field": (
        "de-DE.csv", HEADER + "x" * 140_000 + ",on,train\nb,onn,train\n", r"line 3: unknown label 'onn'"
    ),
    "nearly a split": ("de-DE.jsonl", GOOD + GOOD.replace("train", "trian") * 32,
                       r"line 2: 32 rows with split = 'trian'; did you mean 'train'\? Correct it, or list it in `data.ign"),
    "not parquet": ("de-DE.parquet", "PAR?", r"de-DE\.parquet cannot be read"),
    "another ending": ("de-DE.txt", "a", r"de-DE\.txt must end in \.jsonl"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_with_file_and_line(tmp_path, case):
    name, content, message = MISTAKES[case]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(XlmergeError, match=message):
        read(tmp_path, "." + name.split(".")[1])


def test_a_parquet_file_has_rows_not_lines(tmp_path):
    write(tmp_path / "de-DE.parquet", [ROWS[0], {**ROWS[1], "label": "of"}])
    with pytest.raises(XlmergeError, match=r"de-DE\.parquet, row 1: unknown label 'of'; did you mean 'off'"):
        read(tmp_path, ".parquet")


def test_a_missing_folder_or_file_is_named(tmp_path):
    with pytest.raises(XlmergeError, match=r"data\.folder.*nowhere"):
        read(tmp_path / "nowhere")
    write(tmp_path / "de-DE.jsonl", ROWS)
    with pytest.raises(XlmergeError, match=r"no file .*fr-FR\.jsonl for locale 'fr-FR'"):
        check(Settings(folder=str(tmp_path)), ["de-DE", "fr-FR"])


def test_a_csv_with_nothing_but_its_header_holds_no_rows(tmp_path):
    (tmp_path / "de-DE.csv").write_text(HEADER)
    with pytest.raises(XlmergeError, match=r"de-DE\.csv holds no rows"):
        read(tmp_path, ".csv")


def test_a_row_without_a_split_is_named(tmp_path):
    (tmp_path / "de-DE.csv").write_text(HEADER + "a,on,train\nb,on\n")
    with pytest.raises(XlmergeError, match=r"de-DE\.csv, line 3"):
        read(tmp_path, ".csv")


def test_a_column_may_be_called_row(tmp_path):
    write(tmp_path / "de-DE.jsonl", [{**ROWS[0], "row": "g1"}])
    assert read(tmp_path, cluster_column="row")[0]["cluster"] == "g1"


def test_a_number_for_a_text_is_not_called_empty(tmp_path):
    (tmp_path / "de-DE.jsonl").write_text(GOOD.replace('"licht an"', "5"))
    with pytest.raises(XlmergeError, match=r"line 1: (?!empty text)"):
        read(tmp_path)


def test_rows_of_other_splits_are_counted_unless_they_are_left_out_on_purpose(tmp_path):
    write(tmp_path / "de-DE.jsonl", [ROWS[0], {**ROWS[1], "split": "held_out"}, {**ROWS[1], "split": "held_out"}])
    settings = Settings(folder=str(tmp_path))
    assert load(settings, "de-DE", "train", INTENTS).ignored == {"held_out": 2}
    on_purpose = Settings(folder=str(tmp_path), ignored_splits=["held_out"])
    assert load(on_purpose, "de-DE", "train", INTENTS).ignored == {}
    write(tmp_path / "de-DE.jsonl", [ROWS[0], {**ROWS[1], "split": "train2"}])
    assert load(Settings(folder=str(tmp_path), ignored_splits=["train2"]), "de-DE", "train", INTENTS).ignored == {}


def test_an_array_of_rows_is_read_and_a_very_long_field_as_well(tmp_path):
    (tmp_path / "de-DE.jsonl").write_text(json.dumps(ROWS))
    assert [row["text"] for row in read(tmp_path)] == ["licht an, bitte", 'licht "aus"']
    write(tmp_path / "de-DE.csv", [{**ROWS[0], "text": "x" * 140_000}])
    assert len(read(tmp_path, ".csv")[0]["text"]) == 140_000


def test_a_folder_may_be_in_the_home_and_else_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "own" / "de-DE.jsonl", ROWS)
    assert read("~/own") == read("own") != []
    with pytest.raises(XlmergeError, match=rf"no folder 'mine' in {tmp_path}, where the run is; relative paths start"):
        read("mine")


def test_what_only_some_rows_have_is_missed_by_line(tmp_path):
    rows = [{**ROWS[0], "group": "g"}, ROWS[1]]
    write(tmp_path / "de-DE.jsonl", rows)
    with pytest.raises(XlmergeError, match=r"line 2: empty cluster in the column 'group'"):
        read(tmp_path, cluster_column="group")
