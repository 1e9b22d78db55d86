"""Reading users' tables, with errors that name file and line."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.core.errors import XlmergeError, did_you_mean

SEPARATORS = {".csv": ",", ".tsv": "\t"}
FORMATS = (".jsonl", *SEPARATORS, ".parquet")


class FileRow(NamedTuple):
    """A row of a file: its number from 0, where a person finds it, and its values by column."""

    number: int
    place: str
    values: dict[str, Any]


def read_rows(path: Path) -> list[FileRow]:
    """Return the rows of a JSONL, CSV, TSV or parquet file; a JSON array of rows may stand in a file of JSON lines.

    Raises
    ------
    XlmergeError
        If the file is empty, is not UTF-8 or cannot be parsed; the line is named.
    """
    if path.suffix == ".parquet":
        placed = _parquet_rows(path)
    elif path.suffix in SEPARATORS:
        placed = _separated_rows(path, _text(path))
    else:
        placed = _json_rows(path, _text(path))
    rows = [FileRow(number, f"{path}, {place}", values) for number, (place, values) in enumerate(placed)]
    if not rows:
        raise XlmergeError(f"{path} holds no rows")
    return rows


def _text(path: Path) -> str:
    content = path.read_bytes()
    if not content.strip():
        raise XlmergeError(f"{path} is empty")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise XlmergeError(
            f"{path}, line {line}: not UTF-8 (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        ) from None


Placed = Iterator[tuple[str, dict[str, Any]]]  # where a row stands, and its values


def _parquet_rows(path: Path) -> Placed:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        values = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise XlmergeError(f"{path} cannot be read: {error}") from None
    yield from ((f"row {number}", row) for number, row in enumerate(values))


def _json_rows(path: Path, text: str) -> Placed:
    if text.lstrip().startswith("["):
        placed = ((f"entry {number}", row) for number, row in enumerate(_parsed(path, text, 1), 1))
    else:
        lines = enumerate(text.split("\n"), 1)
        placed = ((f"line {number}", _parsed(path, line, number)) for number, line in lines if line.strip())
    for place, row in placed:
        if not isinstance(row, dict):
            raise XlmergeError(f"{path}, {place}: a row must be an object: {{column: value, …}}")
        yield place, row


def _parsed(path: Path, text: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {first_line + error.lineno - 1}, column {error.colno}"
        raise XlmergeError(f"{path}, {place}: not JSON ({error.msg})") from None


def _separated_rows(path: Path, text: str) -> Placed:
    most = csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=SEPARATORS[path.suffix], strict=True)
    start, heads = 1, None
    try:
        for record in reader:
            if record and heads is None:
                heads = _heads(path, record)
            elif record and heads is not None:
                if len(record) != len(heads):
                    raise XlmergeError(
                        f"{path}, line {start}: {len(record)} fields, but the first line has {len(heads)} "
                        f"({', '.join(heads)}); quote a text that holds the separator"
                    )
                yield f"line {start}", dict(zip(heads, record, strict=True))
            start = reader.line_num + 1
    except csv.Error as error:
        hint = "; is a quotation mark missing?" if "unexpected end" in str(error) else ""
        raise XlmergeError(f"{path}, line {start}: {error}{hint}") from None
    finally:
        csv.field_size_limit(most)


def _heads(path: Path, heads: list[str]) -> list[str]:
    twice = sorted({head for head in heads if heads.count(head) > 1})
    if twice:
        raise XlmergeError(f"{path}: the first line names the column {twice[0]!r} twice")
    return heads


def require_columns(rows: Sequence[FileRow], needed: Iterable[str], path: Path) -> None:
    """Raise an `XlmergeError` for the first column that no row of the file has."""
    present = list(dict.fromkeys(column for row in rows for column in row.values))
    for column in needed:
        if column not in present:
            raise XlmergeError(
                f"{path} has no column {column!r}{did_you_mean(column, present)} "
                f"(it has: {', '.join(present)}); see the `…_column` options of `data:`"
            )


def word(row: FileRow, column: str, what: str) -> str:
    """Return a value as a string.

    Raises
    ------
    XlmergeError
        If there is none, or it is not a single value; `what` says what it is for.
    """
    value = row.values.get(column)
    if value is None or value != value or not str(value).strip():  # noqa: PLR0124  NaN is not itself
        raise XlmergeError(f"{row.place}: empty {what} in the column {column!r}")
    if isinstance(value, list | dict):
        raise XlmergeError(f"{row.place}: {value!r} is not a {what}")
    return str(value)


def sentence(row: FileRow, column: str) -> str:
    """Return a text, which must be one."""
    text = word(row, column, "text")
    if not isinstance(row.values[column], str):
        raise XlmergeError(f"{row.place}: {text} is not a text")
    return text
