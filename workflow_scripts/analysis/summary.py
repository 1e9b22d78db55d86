"""A finished run in a dozen lines, for the terminal."""

from typing import Any

from workflow_scripts.analysis.html.run_data import RunData
from workflow_scripts.analysis.html.sections.first import (
    VERDICTS,
    chosen_and_fair,
    mean_accuracies,
    primary_contrast,
    primary_rows,
)
from workflow_scripts.analysis.html.text import plural, points_interval

WIDTH = 44


def terminal_summary(data: RunData) -> str:
    """Return the answer in a dozen lines: what was run, the levels, the tested difference, the advice, the claims."""
    results = data.results
    head = (
        f"{results.settings['run']}: {plural(len(results.targets), 'target')}, "
        f"{plural(len(results.experiments), 'experiment')}, {plural(len(data.details), 'merge')}, "
        f"{plural(len(results.settings['seeds']), 'seed')}"
    )
    levels = [_line(str(level["title"]), level["shown"]) for level in mean_accuracies(data)]
    parts = [
        head,
        "",
        "mean test accuracy over targets",
        *levels,
        "",
        *_difference(data),
        *_advice(data),
        *_claims(data),
    ]
    return "\n".join(parts).replace("\u202f", " ").rstrip() + "\n"


def _line(title: str, value: Any) -> str:
    return f"  {title:<{WIDTH}}{value:>7}"


def _difference(data: RunData) -> list[str]:
    chosen, fair = chosen_and_fair(data)
    difference = chosen - fair
    tested = primary_contrast(data)
    low, high = (None, None) if tested is None else (tested["low"], tested["high"])
    lines = [
        f"merge − best single source: {points_interval(difference.mean(), low, high)} points; "
        f"better for {(difference > 0).sum()}, worse for {(difference < 0).sum()} targets"
    ]
    return lines if tested is None else [*lines, f"  {VERDICTS[tested['verdict']]}"]


def _advice(data: RunData) -> list[str]:
    rows = primary_rows(data)
    lines = [f"  {advice}: {', '.join(part['target'])}" for advice, part in rows.groupby("advice")] if len(rows) else []
    return ["advice (labelled validation data at hand):", *lines] if lines else []


def _claims(data: RunData) -> list[str]:
    if data.claims.empty:
        return []
    counts = data.claims["verdict"].value_counts()
    return ["earlier claims: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())]
