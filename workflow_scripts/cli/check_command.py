"""The command that looks at a study's data before anything is trained."""

import contextlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from workflow_scripts.cli.config_files import ConfigCommand, config_files, config_option, read_study
from workflow_scripts.cli.questions import directory_option
from workflow_scripts.core.words import number, plural
from workflow_scripts.data.look import SPLITS, Counted, findings
from workflow_scripts.languages.locales import described_by_hand
from workflow_scripts.study.study import Study


@click.command(cls=ConfigCommand)
@config_option
@directory_option
@click.option("--labels", "every_label", is_flag=True, help="Count the sentences of every label in every locale.")
def check(configs: tuple[str, ...], directory: str, every_label: bool) -> None:
    """Look at a study's data; nothing is trained.

    Says how many sentences each locale has per split and label, and what stands in the way of a run, all at once: the
    exit code is then 1.
    """
    files = config_files(configs)
    with contextlib.chdir(directory):
        study = read_study(files)
        counted, problems = _look(study)
    click.echo(
        f"run {study.run.run}: {plural(len(study.run.locales), 'locale')}, {plural(len(study.labels), 'label')}\n"
    )
    if counted:
        click.echo(f"{_table(_by_locale(counted))}\n\n{_table(_by_label(counted, study.labels))}\n")
        if every_label:
            click.echo(f"{_table(_by_locale_and_label(counted))}\n")
    for finding in findings(counted):
        click.echo(f"warning: {finding}")
    if study.undescribed:
        click.echo(f"warning: not in the locale table, so of no family: {described_by_hand(study.undescribed)}")
    for problem in problems:
        click.echo(f"error: {problem}")
    click.echo(f"{plural(len(problems), 'error')}." if problems else "Nothing stands in the way of a run.")
    sys.exit(1 if problems else 0)


def _look(study: Study) -> tuple[Counted, list[str]]:
    """Read the data as a run would; what has to be fetched is fetched into a folder that goes again."""
    from workflow_scripts.data.making import look_at

    data, rest = study.run.data, (study.run.locales, study.labels, study.trained, study.max_length)
    if not hasattr(study.provider, "fetch"):
        return look_at(data, *rest)
    with tempfile.TemporaryDirectory() as folder:
        study.provider.fetch(data, study.labels, Path(folder))
        return look_at(study.provider.fetched(folder), *rest)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    heads = list(rows[0])
    sides = ["left" if isinstance(rows[0][head], str) else "right" for head in heads]
    cells = [[number(v) if isinstance(v, int) else v for v in row.values()] for row in rows]
    return tabulate(cells, heads, disable_numparse=True, colalign=sides)


def _by_locale(counted: Counted) -> list[dict[str, Any]]:
    rows = []
    for locale in dict.fromkeys(locale for locale, _ in counted):
        facts = {split: counted.get((locale, split), {}) for split in SPLITS}
        rows.append(
            {"locale": locale}
            | {word: facts[split].get("n", 0) for split, word in SPLITS.items()}
            | {
                "repeated, left out": sum(f.get("dropped", 0) for f in facts.values()),
                "of no split, left out": max(sum(f.get("ignored", {}).values()) for f in facts.values()),
                "labels in training": sum(map(bool, facts["train"].get("per_label", {}).values())),
            }
        )
    return rows


def _by_label(counted: Counted, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return per label the sentences of all locales, and the locale that has the fewest to train on."""
    rows = []
    for label in labels:
        counts = {split: {o: f["per_label"][label] for (o, s), f in counted.items() if s == split} for split in SPLITS}
        fewest = min(counts["train"], key=lambda locale: counts["train"][locale], default="")
        rows.append(
            {"label": label}
            | {word: sum(counts[split].values()) for split, word in SPLITS.items()}
            | {"fewest in training": f"{counts['train'][fewest]} ({fewest})" if fewest else "–"}
        )
    return rows


def _by_locale_and_label(counted: Counted) -> list[dict[str, Any]]:
    places = dict.fromkeys((o, label) for (o, _), facts in counted.items() for label in facts["per_label"])
    return [
        {"locale": locale, "label": label}
        | {word: counted.get((locale, s), {}).get("per_label", {}).get(label, 0) for s, word in SPLITS.items()}
        for locale, label in places
    ]
