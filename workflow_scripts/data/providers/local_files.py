"""Your own data: a folder with one JSONL, CSV or parquet file per locale, or per locale and split."""

import string
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.validation import Closed

if TYPE_CHECKING:
    from datasets import Dataset

DEFAULT_SPLITS = {"train": "train", "validation": "validation", "test": "test"}


class Settings(Closed):
    """A folder of files, the way to bring your own data."""

    provider: Literal["local_files"] = "local_files"
    folder: str = Field(description="The folder; relative paths start at the working directory.")
    files: str = Field(
        "{locale}.jsonl",
        description="File name per locale. With `{split}` in it (`{locale}/{split}.csv`) there is one file per "
        "split; without it `split_column` divides the file. The ending decides: .jsonl, .csv, .tsv, .parquet.",
    )

    @field_validator("files")
    @classmethod
    def _placeholders(cls, value: str) -> str:
        placeholders = {name for _, name, _, _ in string.Formatter().parse(value) if name is not None}
        if "locale" not in placeholders or placeholders - {"locale", "split"}:
            raise ValueError("must hold {locale}, may hold {split}, and no other placeholder")
        return value

    split_column: str = Field("split", description="Column that names the split, where a file holds all three.")
    split_names: dict[Literal["train", "validation", "test"], str] = Field(
        default_factory=lambda: dict(DEFAULT_SPLITS),  # type: ignore[arg-type]
        description="What the files call the splits, in `split_column` or in place of `{split}`: `{validation: dev}`.",
    )
    text_column: str = Field("text", description="Column with the sentence.")
    label_column: str = Field("label", description="Column with the intent's name.")
    id_column: str | None = Field(None, description="Column with a unique id; default: file name and row number.")
    cluster_column: str | None = Field(
        None, description="Column of what makes sentences dependent (template, parallel utterance); default: none."
    )


def labels(settings: Settings, locales: list[str]) -> list[str]:
    """Refuse to guess: a list that grew with a locale would change every model's head.

    Raises
    ------
    XlmergeError
        Always; the message holds the list that the files use, ready to paste.
    """
    from workflow_scripts.data import file_tables

    used: set[str] = set()
    for path in sorted({_file(settings, locale, split) for locale in locales for split in DEFAULT_SPLITS}):
        table = file_tables.read_table(path)
        file_tables.require_columns(table, [settings.label_column], path)
        used |= {str(v) for v in table[settings.label_column]}
    raise XlmergeError(f"local_files needs the ordered list of intents; the files use this one:\nlabels: {_yaml(used)}")


def _yaml(labels: set[str]) -> str:
    import yaml

    return yaml.safe_dump(sorted(labels), default_flow_style=True, allow_unicode=True, width=10**6).strip()


def check(settings: Settings, locales: list[str]) -> None:
    """Raise an `XlmergeError` for a missing folder or file, naming it, or a file of an unknown kind."""
    if not Path(settings.folder).is_dir():
        raise XlmergeError(f"data.folder: there is no folder {settings.folder!r}")
    for locale in locales:
        for split in DEFAULT_SPLITS:
            path = _file(settings, locale, split)
            if not path.is_file():
                raise XlmergeError(
                    f"local_files: no file {path} for locale {locale!r} (data.files: {settings.files!r})"
                )
            if path.suffix not in {".jsonl", ".csv", ".tsv", ".parquet"}:
                raise XlmergeError(f"local_files: {path} must end in .jsonl, .csv, .tsv or .parquet")


def check_labels(settings: Settings, intents: list[str]) -> None:
    """Accept any list: the files are checked against it when they are read."""


def source_files(settings: Settings, locale: str, split: str) -> list[str]:
    """Return the file that a split is read from."""
    return [str(_file(settings, locale, split))]


def load(settings: Settings, locale: str, split: str, intents: list[str]) -> "Dataset":
    """Return the examples of one locale and split; see `home_assistant.load` for the columns.

    Raises
    ------
    XlmergeError
        For an empty file, bytes that are not UTF-8, a missing column, an empty text or an unknown label, naming
        the file and the line.
    """
    from workflow_scripts.data import file_tables

    path = _file(settings, locale, split)
    table = file_tables.read_table(path)
    renamed = {"text": settings.text_column, "intent": settings.label_column}
    if settings.id_column:
        renamed["id"] = settings.id_column
    if settings.cluster_column:
        renamed["cluster"] = settings.cluster_column
    by_column = "{split}" not in settings.files
    needed = [*renamed.values(), *([settings.split_column] if by_column else [])]
    file_tables.require_columns(table, needed, path)
    table = table.map(lambda _, row: {file_tables.POSITION: row}, with_indices=True)
    if by_column:
        wanted = settings.split_names.get(split, split)  # type: ignore[call-overload]
        table = file_tables.rows_of_split(table, settings.split_column, wanted, path)
    return file_tables.to_contract(table, renamed, intents, path)


def _file(settings: Settings, locale: str, split: str) -> Path:
    name = settings.split_names.get(split, split)  # type: ignore[call-overload]
    return Path(settings.folder) / settings.files.format(locale=locale, split=name)
