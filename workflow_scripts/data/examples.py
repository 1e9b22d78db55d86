"""Example tables: the one form in which every stage sees sentences.

Columns ``id`` (str), ``text`` (str), ``label`` (int: position in the run's labels), ``cluster`` (str).
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from workflow_scripts.core import registry
from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of, verify
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.validation import Closed

if TYPE_CHECKING:
    from datasets import Dataset  # most jobs read tables only, and need not load it

COLUMNS = ["id", "text", "label", "cluster"]


def make_examples(
    settings: Closed, locale: str, split: str, labels: list[str], keep_out: Iterable[pd.DataFrame]
) -> tuple[pd.DataFrame, int]:
    """Load one locale and split from its provider and bring it into the contract.

    Parameters
    ----------
    settings : Closed
        The provider's settings; the field ``provider`` names it.
    locale, split : str
    labels : list of str
        The run's ordered labels.
    keep_out : iterable of DataFrame
        Tables whose texts must not occur here (test for validation; test and validation for train).

    Returns
    -------
    table : DataFrame
    dropped : int
        How many examples the provider had whose text is in `keep_out`.

    Raises
    ------
    XlmergeError
        If nothing is left, or if an id occurs twice.
    """
    provider = registry.load("data provider", settings.provider)  # type: ignore[attr-defined]
    provider.check(settings, [locale])  # data that were fetched have not been looked at before
    table = _contract(provider.load(settings, locale, split, labels), labels)
    held_out = {text for other in keep_out for text in other["text"]}
    kept = ~table["text"].isin(held_out)
    dropped = int((~kept).sum())
    table = table[kept].reset_index(drop=True)
    if table.empty:
        raise XlmergeError(f"{locale}: the {split} split is empty; give it data or drop the locale from `locales:`")
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        raise XlmergeError(f"{locale}, {split}: the id {twice.iloc[0]!r} occurs twice")
    return table, dropped


def _contract(dataset: "Dataset", labels: list[str]) -> pd.DataFrame:
    position = {name: i for i, name in enumerate(labels)}
    return pd.DataFrame(
        {
            "id": [str(v) for v in dataset["id"]] if len(dataset) else [],
            "text": [normalise(v) for v in dataset["text"]] if len(dataset) else [],
            "label": [position[v] for v in dataset["intent"]] if len(dataset) else [],
            "cluster": [str(v) for v in dataset["cluster"]] if len(dataset) else [],
        },
        columns=COLUMNS,
    )


def normalise(text: str) -> str:
    """Return the text in Unicode NFC with white space collapsed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def examples_digest(table: pd.DataFrame) -> str:
    """Return the content digest of an example table, whatever wrote the file."""
    return digest_of([table[c].tolist() for c in COLUMNS])


def write_examples(table: pd.DataFrame, path: str | Path) -> None:
    """Write an example table as parquet, atomically."""
    with atomic_path(path) as temporary:
        table[COLUMNS].to_parquet(temporary, index=False)


def read_examples(path: str | Path, digest_file: str | Path | None = None) -> pd.DataFrame:
    """Read an example table and check it against its digest file.

    Raises
    ------
    XlmergeError
        If the file cannot be read or is not what its digest says.
    """
    try:
        table = pd.read_parquet(path)[COLUMNS]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise XlmergeError(f"{path} is damaged ({error}); delete it and rerun") from None
    if digest_file is not None:
        verify(path, examples_digest(table), digest_file)
    return table


def missing_labels(table: pd.DataFrame, labels: list[str]) -> list[str]:
    """Return the labels without an example."""
    present = set(table["label"])
    return [name for i, name in enumerate(labels) if i not in present]
