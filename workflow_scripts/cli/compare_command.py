"""The command ``xlmerge compare``: finished runs against each other."""

from pathlib import Path

import click

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.selection.systems import BEST_SINGLE, MEAN_SINGLE, SELF

TABLE = "report/cross_lingual_summary.csv"
CHOSEN = "chosen_merge"
SHOWN = {
    SELF: "own model",
    MEAN_SINGLE: "mean zero-shot",
    BEST_SINGLE: "best zero-shot (validation)",
    CHOSEN: "merge (validation)",
}


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER…")
def compare(folders: tuple[str, ...]) -> None:
    """Print runs against each other: own models, zero-shot, merges.

    FOLDER is that of a finished run, such as results/demo. Accuracies are means over the targets that all runs have.
    """
    click.echo(comparison([Path(folder) for folder in folders]))


def comparison(folders: list[Path]) -> str:
    """Return the table of runs, means over the targets that all of them have.

    Raises
    ------
    XlmergeError
        If a run is not finished, or the runs have no target in common.
    """
    import pandas as pd
    from tabulate import tabulate

    tables = {}
    for folder in folders:
        if not (folder / TABLE).is_file():
            raise XlmergeError(f"{folder} is no folder of a finished run: it has no {TABLE}")
        tables[folder.name] = pd.read_csv(folder / TABLE, index_col="target")
    common = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    if not common:
        raise XlmergeError("the runs have no target in common")
    means = {run: table.loc[common, list(SHOWN)].mean() for run, table in tables.items()}
    rows = [
        [
            run,
            *(f"{100 * mean[c]:.1f} %" for c in SHOWN),
            f"{100 * (mean[CHOSEN] - mean[BEST_SINGLE]):+.1f}",
        ]
        for run, mean in means.items()
    ]
    heads = ["run", *SHOWN.values(), "merge − best zero-shot, points"]
    text = tabulate(rows, heads, colalign=["left", *["right"] * (len(heads) - 1)], disable_numparse=True)
    return f"Mean test accuracy over {len(common)} targets.\n\n{text}"
