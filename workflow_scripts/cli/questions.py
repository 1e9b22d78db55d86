"""Commands that say what a finished run found."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workflow_scripts.cli.config_files import ConfigCommand, config_files, config_option, read_study
from workflow_scripts.core.errors import XlmergeError, unknown

if TYPE_CHECKING:
    import pandas as pd

directory_option = click.option(
    "--directory", type=click.Path(exists=True, file_okay=False), default=".", help="Where results/ is."
)


@click.command(cls=ConfigCommand)
@config_option
@directory_option
@click.argument("target")
def recommend(configs: tuple[str, ...], directory: str, target: str) -> None:
    """Say what a run recommends for one TARGET.

    Merge, take a single source, or fine-tune: with which sources, at what expected accuracy, and how sure that is.
    """
    from workflow_scripts.report.sections.advice import advice
    from workflow_scripts.report.terminal import render_terminal

    files = config_files(configs)
    with contextlib.chdir(directory):
        study = read_study(files)
        if target not in study.run.locales:
            raise XlmergeError(unknown("target", target, study.run.locales))
        systems, recommendations = (
            _table(path, study.run.run, target)
            for path in (study.paths.evaluation.format(target=target), study.paths.recommendations)
        )
    if target not in set(recommendations["target"]):
        raise XlmergeError(f"{target} is a source of run {study.run.run!r}, but no experiment has it as a target")
    found = advice(systems.fillna({"experiment": "", "model": ""}), recommendations, target)
    click.echo(render_terminal(found), nl=False)


def _table(path: str, run: str, target: str) -> "pd.DataFrame":
    import pandas as pd

    if not Path(path).is_file():
        raise XlmergeError(f"run {run!r} has no results for {target} yet ({path}): `xlmerge run` makes them")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


@click.command(cls=ConfigCommand)
@config_option
@directory_option
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
def report(configs: tuple[str, ...], directory: str, opens: bool) -> None:
    """Say what a run found, and where its report is."""
    files = config_files(configs)
    with contextlib.chdir(directory):
        study = read_study(files)
        page, summary = (Path(study.paths.report, name).resolve() for name in ("report.html", "summary.txt"))
    if not (page.is_file() and summary.is_file()):
        raise XlmergeError(f"run {study.run.run!r} has no report yet ({page}): `xlmerge run` writes it")
    click.echo(f"{summary.read_text(encoding='utf-8')}\nThe report: {page}")
    if opens and click.launch(page.as_uri()) != 0:
        raise XlmergeError("no browser could be started; open the page by hand")
