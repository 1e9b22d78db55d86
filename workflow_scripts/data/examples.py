"""Example tables: the one form in which every stage sees sentences.

Columns ``id`` (str), ``text`` (str), ``label`` (int: position in the run's labels), ``cluster`` (str).
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of, verify
from workflow_scripts.core.errors import XlmergeError

COLUMNS = ["id", "text", "label", "cluster"]


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
