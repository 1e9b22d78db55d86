"""Transfer: every model on every locale."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import pdist

from workflow_scripts.core.words import percent, percent_interval, plural
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Plot, Prose, Section, Table, number_cell, text_cell
from workflow_scripts.report.marks import Link
from workflow_scripts.report.run_data import RunData

GROUPS = ("family", "genus", "script", "resource_level")
MOST_IN_TABLE = 12


def section(data: RunData) -> Section:
    """Return the section with the NxN heat map."""
    intro = Prose(
        "Each row is a model, each column the locale it is tested on; the diagonal holds the own models. "
        "A column says which sources serve a target, a row where a model can be used."
    )
    return Section("transfer", "Who transfers to whom", [intro, _heat_map(data)])


def _heat_map(data: RunData) -> Plot:
    orders = heat_map_orders(data)
    names = next(iter(orders.values()))
    accuracy = data.cells["accuracy"].unstack().loc[names, names]
    groups = {g: {name: data.language(name)[g] for name in names} for g in GROUPS}
    own = np.diag(accuracy)
    others = accuracy.to_numpy()[~np.eye(len(names), dtype=bool)]
    trace = plots.heat_map(
        (100 * accuracy).round(2).to_numpy().tolist(), names, names,
        [[_hover(data, model, locale) for locale in names] for model in names],
        colorscale=plots.SEQUENTIAL, zmin=0, zmax=100, unit="test accuracy, %",
    )  # fmt: skip
    figure = plots.figure(
        [trace],
        max(380, 24 * len(names) + 150),
        xaxis=plots.category_axis(names, title="evaluated on", tickangle=-60),
        yaxis=plots.category_axis(names, title="model of", autorange="reversed"),
    )
    return Plot(
        "nxn", "Test accuracy of every model on every locale",
        ("Point at a cell for its accuracy, 95 % interval and n. Each column is also a table on its target’s page. "
         "All values: ", Link("evaluation_matrix.csv", "../nxn/evaluation_matrix.csv"), ", per seed ",
         Link("cells.csv", "../nxn/cells.csv"), "."),
        f"Heat map of {plural(len(names), 'model')} on as many locales. Own models average {percent(own.mean())}, "
        f"other models {percent(others.mean())}, from {percent(others.min())} to {percent(others.max())}.",
        figure,
        matrix=plots.matrix_controls(orders, groups, ("models of", "evaluated on")),
        table=_table(accuracy) if len(names) <= MOST_IN_TABLE else None,
        picture="nxn_heatmap.png",
    )  # fmt: skip


def heat_map_orders(data: RunData) -> dict[str, list[str]]:
    """Return the orders of the heat map: by family, by clustering, by own accuracy, by name."""
    locales = sorted(data.results.settings["locales"])
    own = {name: data.cells.loc[(name, name), "accuracy"] for name in locales}
    families = sorted(locales, key=lambda name: [data.language(name)[k] for k in ("family", "genus")])
    return {
        "family and genus": families,
        "similar transfer (clustering)": _clustered(data.cells["accuracy"].unstack().loc[locales, locales]),
        "own accuracy": sorted(locales, key=lambda name: -own[name]),
        "name": locales,
    }


def _clustered(accuracy: pd.DataFrame) -> list[str]:
    """Order locales so that neighbours transfer alike, as models and as targets (average linkage)."""
    if len(accuracy) < 3:
        return list(accuracy.index)
    values = accuracy.to_numpy()
    profiles = np.hstack([values, values.T])
    distances = pdist(profiles)
    order = leaves_list(optimal_leaf_ordering(linkage(distances, "average"), distances))
    return [accuracy.index[i] for i in order]


def _hover(data: RunData, model: str, locale: str) -> str:
    row: Any = data.cells.loc[(model, locale)]
    what = "own model" if model == locale else f"model of {data.named(model)}"
    return (
        f"<b>{what} on {data.named(locale)}</b><br>{percent_interval(row.accuracy, row.low, row.high)} (95 %)<br>"
        f"n = {row.n:.0f} in {row.clusters:.0f} clusters"
    )


def _table(accuracy: pd.DataFrame) -> Table:
    rows = [
        [text_cell(model), *(number_cell(f"{100 * v:.0f}", v) for v in values)]
        for model, values in zip(accuracy.index, accuracy.to_numpy(), strict=True)
    ]
    return Table("Test accuracy in %: models by row, locales by column", ["model", *accuracy.columns], rows)
