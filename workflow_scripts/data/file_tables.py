"""Reading users' tables through `datasets`, with errors that name file and line."""

import csv
import tempfile
from pathlib import Path

from datasets import Dataset, Features, Value, disable_progress_bars

from workflow_scripts.core.errors import XlmergeError, did_you_mean

POSITION = "__position_in_file__"

disable_progress_bars()


def read_table(path: Path) -> Dataset:
    """Return the rows of a JSONL, CSV, TSV or parquet file.

    Raises
    ------
    XlmergeError
        If the file is empty, is not UTF-8 (line named) or cannot be parsed.
    """
    if path.suffix != ".parquet":
        _check_text(path)
    if path.suffix in {".csv", ".tsv"} and len(path.read_text(encoding="utf-8").strip().splitlines()) == 1:
        raise XlmergeError(f"{path} holds no rows")
    with tempfile.TemporaryDirectory() as cache:
        try:
            if path.suffix == ".parquet":
                table = Dataset.from_parquet(str(path), cache_dir=cache, keep_in_memory=True)
            elif path.suffix == ".jsonl":
                table = Dataset.from_json(str(path), cache_dir=cache, keep_in_memory=True)
            else:
                separator = "\t" if path.suffix == ".tsv" else ","
                features = Features({c: Value("string") for c in _header(path, separator)})
                table = Dataset.from_csv(
                    str(path), features=features, sep=separator, cache_dir=cache, keep_in_memory=True,
                    keep_default_na=False,
                )  # fmt: skip
        except Exception as error:  # datasets wraps the parsers' errors in its own
            raise XlmergeError(f"{path} cannot be read: {error.__cause__ or error}") from error
    if len(table) == 0:
        raise XlmergeError(f"{path} holds no rows")
    return table


def _check_text(path: Path) -> None:
    content = path.read_bytes()
    if not content.strip():
        raise XlmergeError(f"{path} is empty")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise XlmergeError(
            f"{path}, line {line}: not UTF-8 (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        ) from None


def _header(path: Path, separator: str) -> list[str]:
    with open(path, encoding="utf-8-sig", newline="") as handle:
        return next(csv.reader(handle, delimiter=separator))


def require_columns(table: Dataset, needed: list[str], path: Path) -> None:
    """Raise an `XlmergeError` for the first column that the file does not have."""
    for column in needed:
        if column not in table.column_names:
            raise XlmergeError(
                f"{path} has no column {column!r}{did_you_mean(column, table.column_names)} "
                f"(it has: {', '.join(table.column_names)}); see the `…_column` options of `data:`"
            )


def rows_of_split(table: Dataset, column: str, wanted: str, path: Path) -> Dataset:
    """Return the rows whose split column says `wanted`."""
    for value, position in zip(table[column], table[POSITION], strict=True):
        if value is None or not str(value).strip():
            raise XlmergeError(f"{path}, {line_of(path, position)}: no value in the column {column!r}")
    present = sorted({str(v) for v in table[column]})
    if wanted not in present:
        raise XlmergeError(
            f"{path}: no row has {column} = {wanted!r} (found: {', '.join(present)}); see `data.split_names`"
        )
    return table.filter(lambda value: str(value) == wanted, input_columns=column)


def to_contract(table: Dataset, columns: dict[str, str], intents: list[str], path: Path) -> Dataset:
    """Return the columns ``id``, ``text``, ``intent``, ``cluster`` as strings.

    Parameters
    ----------
    table : Dataset
        With a column `POSITION`: the zero-based row in the file.
    columns : dict
        Contract name → the file's name. Without ``id``: file name and row; without ``cluster``: the id.
    intents : list of str
        The known labels; an unknown one is an error that names its line.
    """
    rows = []
    for example in table:
        text, intent = example[columns["text"]], str(example[columns["intent"]])
        if text is None or not str(text).strip():
            raise XlmergeError(f"{path}, {line_of(path, example[POSITION])}: empty text")
        if not isinstance(text, str):
            raise XlmergeError(f"{path}, {line_of(path, example[POSITION])}: {text!r} is not a text")
        if intent not in intents:
            raise XlmergeError(
                f"{path}, {line_of(path, example[POSITION])}: unknown label {intent!r}{did_you_mean(intent, intents)}; "
                "the config's `labels:` must list every label"
            )
        identity = str(example[columns["id"]]) if "id" in columns else f"{path.stem}/{example[POSITION]}"
        cluster = str(example[columns["cluster"]]) if "cluster" in columns else identity
        rows.append({"id": identity, "text": text, "intent": intent, "cluster": cluster})
    return Dataset.from_list(rows)


def line_of(path: Path, row: int) -> str:
    """Return ``line n`` of a text file (``row n`` of a parquet file) for a zero-based row."""
    if path.suffix == ".parquet":
        return f"row {row}"
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").split("\n")
        filled = [number for number, line in enumerate(lines, 1) if line.strip()]
        return f"line {filled[row]}"
    with open(path, encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, delimiter="\t" if path.suffix == ".tsv" else ",")
        starts, last = [], 0
        for record in reader:
            if record:
                starts.append(last + 1)
            last = reader.line_num
        return f"line {starts[row + 1]}"
