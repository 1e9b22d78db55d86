"""A finished run in a dozen lines, for the terminal."""

from typing import Any

from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.sections.first import VERDICTS, mean_accuracies, primary_contrast, primary_rows
from workflow_scripts.report.html.text import number, plural, points_interval
from workflow_scripts.selection.systems import FEW_SHOT
from workflow_scripts.statistics.contrasts import CHOSEN

WIDTH = 44
MOST_NAMED = 12  # targets


def terminal_summary(data: RunData) -> str:
    """Return the answer in a dozen lines: what was run, the levels, the tested difference, the advice, the claims."""
    results = data.results
    head = (
        f"{results.settings['run']}: {plural(len(results.targets), 'target')}, "
        f"{plural(len(results.experiments), 'experiment')}, {plural(len(data.details), 'merge')}, "
        f"{plural(len(results.settings['seeds']), 'seed')}; mean accuracy over targets on "
        f"{number(results.baseline('self')['n'].sum())} test sentences:"
    )
    levels = [_line(str(level["title"]), level["shown"]) for level in mean_accuracies(data)]
    lines = [head, *levels, *_difference(data), *_training_instead(data), *_advice(data), *_claims(data)]
    return "\n".join(lines).replace("\u202f", " ") + "\n"


def _line(title: str, value: Any) -> str:
    return f"  {title:<{WIDTH}}{value:>7}"


def _difference(data: RunData) -> list[str]:
    chosen, fair = data.results.chosen_and_fair
    difference = chosen - fair
    tested = primary_contrast(data)
    low, high = (None, None) if tested is None else (tested["low"], tested["high"])
    lines = [
        f"merge − best single source: {points_interval(difference.mean(), low, high)} points; "
        f"better for {(difference > 0).sum()}, worse for {(difference < 0).sum()} targets"
    ]
    if tested is not None:
        lines.append(f"  {VERDICTS[tested['verdict']]}")
    elif data.results.one_seed:
        lines.append("  one seed: descriptive")
    return lines


def _training_instead(data: RunData) -> list[str]:
    found = data.effect(FEW_SHOT, CHOSEN)
    if found is None:
        return []
    interval = points_interval(found["effect"], found["low"], found["high"])
    return [f"merge − fine-tuning on the validation data: {interval} points"]


def _advice(data: RunData) -> list[str]:
    rows = primary_rows(data)
    if rows.empty:
        return []
    lines = [f"  {advice}: {_listed(list(part['target']))}" for advice, part in rows.groupby("advice")]
    return ["advice with labelled validation data:", *lines]


def _listed(targets: list[str]) -> str:
    return ", ".join(targets) if len(targets) <= MOST_NAMED else f"{len(targets)} targets"


def _claims(data: RunData) -> list[str]:
    if data.claims.empty:
        return []
    counts = data.claims["verdict"].value_counts()
    return ["earlier claims: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())]
