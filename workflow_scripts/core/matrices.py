"""Matrices of the run: accuracies (rows = models, columns = evaluation locales) and similarities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workflow_scripts.core.atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd


def read_matrix(path: str | Path) -> pd.DataFrame:
    """Read a matrix whose first column names its rows."""
    import pandas as pd

    return pd.read_csv(path, index_col=0)


def write_matrix(matrix: pd.DataFrame, path: str | Path) -> None:
    """Write a matrix as CSV, all digits kept, atomically."""
    with atomic_path(path) as temporary:
        matrix.to_csv(temporary, lineterminator="\n")


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV without its index, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def accuracy_matrix(cells: pd.DataFrame, split: str, locales: list[str], seed: int | None = None) -> pd.DataFrame:
    """Return the accuracy of every model (row) on every locale (column).

    Parameters
    ----------
    cells : DataFrame
        Columns ``model``, ``locale``, ``seed``, ``split``, ``accuracy``.
    split : {"test", "validation"}
    locales : list of str
        Order of rows and columns.
    seed : int, optional
        Default: the mean over all seeds.
    """
    chosen = cells[cells["split"] == split]
    if seed is not None:
        chosen = chosen[chosen["seed"] == seed]
    matrix = chosen.groupby(["model", "locale"])["accuracy"].mean().unstack()
    return matrix.loc[locales, locales].rename_axis(index="model", columns=None)
