"""Your own data: a folder with one JSONL, CSV or parquet file per locale, or per locale and split."""

import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from workflow_scripts.core.errors import XlmergeError, did_you_mean
from workflow_scripts.core.validation import Closed
from workflow_scripts.core.words import plural
from workflow_scripts.data.file_tables import FORMATS, FileRow, read_rows, require_columns, sentence, word
from workflow_scripts.data.look import Loaded, Utterance

NEAR = 0.7  # likeness from which a split's name is taken for a slip of the pen
DEFAULT_SPLITS = {"train": "train", "validation": "validation", "test": "test"}


class Settings(Closed):
    """A folder of files, the way to bring your own data."""

    provider: Literal["local_files"] = "local_files"
    folder: str = Field(
        description="The folder; `~` is your home. A relative path starts where the run is: in the folder in which the "
        "command is called, or that `--directory` names."
    )
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
    ignored_splits: list[str] = Field(
        default_factory=list,
        description="Values of `split_column` whose rows are left out on purpose. Rows with other unknown values are "
        "left out with a warning; a value that is nearly a split's name is an error.",
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
    used: set[str] = set()
    for path in sorted({_file(settings, locale, split) for locale in locales for split in DEFAULT_SPLITS}):
        rows = read_rows(path)
        require_columns(rows, [settings.label_column], path)
        used |= {word(row, settings.label_column, "label") for row in rows}
    raise XlmergeError(f"local_files needs the ordered list of intents; the files use this one:\nlabels: {_yaml(used)}")


def _yaml(labels: set[str]) -> str:
    import yaml

    return yaml.safe_dump(sorted(labels), default_flow_style=True, allow_unicode=True, width=10**6).strip()


def check(settings: Settings, locales: list[str]) -> None:
    """Raise an `XlmergeError` for a missing folder or file, naming it, or a file of an unknown kind."""
    folder = Path(settings.folder).expanduser()
    if not folder.is_dir():
        raise XlmergeError(
            f"data.folder: there is no folder {settings.folder!r}"
            + ("" if folder.is_absolute() else f" in {Path.cwd()}, where the run is; relative paths start there")
        )
    for locale in locales:
        for split in DEFAULT_SPLITS:
            path = _file(settings, locale, split)
            if not path.is_file():
                raise XlmergeError(
                    f"local_files: no file {path} for locale {locale!r} (data.files: {settings.files!r})"
                )
            if path.suffix not in FORMATS:
                raise XlmergeError(f"local_files: {path} must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")


def check_labels(settings: Settings, intents: list[str]) -> None:
    """Accept any list: the files are checked against it when they are read."""


def source_files(settings: Settings, locale: str, split: str) -> list[str]:
    """Return the file that a split is read from."""
    return [str(_file(settings, locale, split))]


def load(settings: Settings, locale: str, split: str, intents: list[str]) -> Loaded:
    """Return the sentences of one locale and split, and which rows belong to no split.

    Raises
    ------
    XlmergeError
        For an empty file, bytes that are not UTF-8, a missing column, a row without text or label, an unknown label or
        a split that is nearly one of the three, naming the file and the line.
    """
    path = _file(settings, locale, split)
    rows = read_rows(path)
    columns = [settings.text_column, settings.label_column, settings.id_column, settings.cluster_column]
    by_column = "{split}" not in settings.files
    require_columns(rows, [c for c in [*columns, settings.split_column if by_column else None] if c], path)
    ignored: Counter[str] = Counter()
    if by_column:
        rows, ignored = _rows_of_split(settings, rows, split, path)
    return Loaded([_utterance(settings, row, intents, path) for row in rows], dict(ignored))


def _rows_of_split(
    settings: Settings, rows: Sequence[FileRow], split: str, path: Path
) -> tuple[list[FileRow], Counter[str]]:
    """Return the rows of a split, and how many rows have which other names than those of the three splits."""
    names = {_name(settings, each) for each in DEFAULT_SPLITS}
    placed: dict[str, list[FileRow]] = {}
    for row in rows:
        placed.setdefault(word(row, settings.split_column, "split"), []).append(row)
    others = {name: of_it for name, of_it in placed.items() if name not in names}
    for name, of_it in others.items():
        if name not in settings.ignored_splits and (near := did_you_mean(name, names, NEAR)):
            raise XlmergeError(
                f"{of_it[0].place}: {plural(len(of_it), 'row')} with {settings.split_column} = {name!r}{near} "
                "Correct it, or list it in `data.ignored_splits`"
            )
    wanted = _name(settings, split)
    if wanted not in placed:
        raise XlmergeError(
            f"{path}: no row has {settings.split_column} = {wanted!r} (found: {', '.join(sorted(placed))}); "
            f"name what it is called there: `data.split_names: {{{split}: …}}`"
        )
    return placed[wanted], Counter({n: len(o) for n, o in others.items() if n not in settings.ignored_splits})


def _utterance(settings: Settings, row: FileRow, intents: Sequence[str], path: Path) -> Utterance:
    intent = word(row, settings.label_column, "label")
    if intent not in intents:
        raise XlmergeError(
            f"{row.place}: unknown label {intent!r}{did_you_mean(intent, intents)}; "
            "the config's `labels:` must list every label"
        )
    identity = word(row, settings.id_column, "id") if settings.id_column else f"{path.stem}/{row.number}"
    cluster = word(row, settings.cluster_column, "cluster") if settings.cluster_column else identity
    return Utterance(identity, sentence(row, settings.text_column), intent, cluster)


def _name(settings: Settings, split: str) -> str:
    return settings.split_names.get(split, split)  # type: ignore[call-overload]


def _file(settings: Settings, locale: str, split: str) -> Path:
    folder = Path(settings.folder).expanduser()
    return folder / settings.files.format(locale=locale, split=_name(settings, split))
