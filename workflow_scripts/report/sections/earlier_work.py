"""What earlier work claimed: its rule of thumb drawn, and the ledger of its claims."""

import pandas as pd
import plotly.graph_objects as go

from workflow_scripts.core.words import number, percent, points, with_minus
from workflow_scripts.findings.older_studies import ZS_SELF
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Block, Choice, Column, Plot, Prose, Section, number_cell, table
from workflow_scripts.report.marks import Verdict, marked, with_code
from workflow_scripts.report.run_data import RunData
from workflow_scripts.selection.systems import BEST_SINGLE, BEST_SINGLE_ORACLE, SELF


def zero_shot_section(data: RunData) -> Section:
    """Return the section with the older study's scatter: does a weak zero-shot predict a useful merge."""
    return Section("zero-shot", "Does a weak zero-shot predict a useful merge?", [_plot(data)])


def claims_section(data: RunData) -> Section:
    """Return the section with the claims ledger, empty where the run has none."""
    blocks: list[Block] = []
    if len(data.claims):
        intro = (
            "Claims of earlier work, judged on this run’s data alone, with an interval and a test at the unit that can "
            "vary (targets, or pairs of experiments), corrected for the number of claims (Benjamini and Hochberg). "
            "*No relevant difference*: what the claim says is surely smaller than the margin, in either direction. "
            "*Cannot tell* is no evidence against a claim."
        )
        columns: dict[str, Column] = {
            "claim": "statement",
            "verdict": lambda row: Verdict(row["verdict"]),
            "n": lambda row: number_cell(f"{number(row['n'])} {row['unit']}".rstrip(), row["n"]),
            "what this run says": lambda row: with_code(with_minus(row["detail"])),
        }
        blocks = [Prose(marked(intro)), table("Claims ledger", data.claims.to_dict("records"), columns)]
    return Section("claims", "Which earlier claims hold here?", blocks)


def ratios(data: RunData) -> dict[str, pd.Series]:
    """Return ZS/self per target: on test data as the older study had it, and on validation data."""
    results, validation = data.results, data.results.matrix_validation
    own = results.baseline(SELF)["accuracy"]
    best = {t: validation[t].drop(t).max() / validation.loc[t, t] for t in results.targets}
    return {
        "on validation data (its noise is its own)": pd.Series(best),
        "on test data, best of all (oracle, as the older study)": results.baseline(BEST_SINGLE_ORACLE)["accuracy"]
        / own,
    }


def _plot(data: RunData) -> Plot:
    chosen, effect = data.results.chosen_and_fair[0], data.differences
    fair = data.results.baseline(BEST_SINGLE)["accuracy"].reindex(effect.index)
    found = {title: ratio.reindex(effect.index) for title, ratio in ratios(data).items()}
    others = pd.DataFrame(
        {n: data.results.of_experiment(n)["accuracy"].reindex(fair.index) - fair for n in data.results.experiments}
    )
    views: dict[str, tuple[dict, dict]] = {
        title: ({"x": [_repeated(x, others), x.tolist()]}, {}) for title, x in found.items()
    }
    x = next(iter(found.values()))
    traces = [
        go.Scatter(
            x=_repeated(x, others),
            y=(100 * others.to_numpy().T).ravel().tolist(),
            mode="markers",
            name="all merges",
            marker={"size": 6, "color": plots.GREY, "opacity": 0.45},
            text=[f"{t}: {data.results.titles[n]}" for n in others for t in others.index],
            hovertemplate="<b>%{text}</b><br>ZS/self %{x:.2f}, %{y:+.1f} points<extra></extra>",
        ),
        go.Scatter(
            x=x.tolist(),
            y=(100 * effect).tolist(),
            mode="markers+text",
            name="merge chosen on validation data",
            marker={"size": 11, "color": plots.PALETTE[1], "symbol": "diamond"},
            text=list(effect.index) if len(effect) <= 16 else None,
            textposition="top center",
            customdata=[f"{data.named(t)}: {percent(chosen[t])}" for t in effect.index],
            hovertemplate="<b>%{customdata}</b><br>ZS/self %{x:.2f}, %{y:+.1f} points<extra></extra>",
        ),
    ]
    grey = {"dash": "dot", "width": 2, "color": plots.GREY}
    figure = plots.figure(
        traces,
        480,
        xaxis={"title": "ZS/self"},
        yaxis={"title": "merge − single, points", "zeroline": True, "zerolinewidth": 2},
        shapes=[{"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": ZS_SELF, "x1": ZS_SELF, "line": grey}],
    )
    below, above = effect[x < ZS_SELF], effect[x >= ZS_SELF]
    return Plot(
        "zs-scatter", "Improvement by ratio of zero-shot to own accuracy",
        "ZS/self is the best single source’s accuracy divided by the own model’s. "
        "The dotted line is the older study’s rule: merge left of it. Read a slope with care where both axes use the "
        "test data: a single source that is lucky there moves its target to the right and down at once.",
        f"Scatter plot. With ZS/self below {ZS_SELF} ({len(below)} targets) the chosen merge changes accuracy by "
        f"{points(below.mean())} points on average, otherwise ({len(above)} targets) by {points(above.mean())}.",
        figure,
        [Choice("ratio", views)],
        picture="zero_shot_comparison.png",
    )  # fmt: skip


def _repeated(x: pd.Series, others: pd.DataFrame) -> list[float]:
    return x.tolist() * others.shape[1]
