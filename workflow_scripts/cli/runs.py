"""Commands that call Snakemake with this workflow: what they do not know themselves is passed on to it."""

import contextlib
import os
import sys
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import click

from workflow_scripts.cli.config_files import ConfigCommand, config_files, config_option, read_study
from workflow_scripts.core.environment import workflow_folder
from workflow_scripts.core.errors import XlmergeError, unknown

PASS_ON = {"ignore_unknown_options": True}
snakemake_words = click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[SNAKEMAKE'S OPTIONS AND TARGETS]")


class Finite(click.FloatRange):
    """A number in a range that is neither infinite nor `nan`, which lies in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        return number if isfinite(number) else self.fail(f"{number} is no finite number", param, ctx)


@click.command(cls=ConfigCommand, context_settings=PASS_ON)
@config_option
@click.option(
    "--profile", "profiles", multiple=True, metavar="NAME", help="slurm, workstation, or a folder of your own."
)
@snakemake_words
def run(configs: tuple[str, ...], profiles: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Run a study; results are written to results/ in this folder.

    All other options and targets are Snakemake's (`snakemake --help`): -n says what would be done, -c 4 uses four cores
    (all, if nothing else is said), --sdm conda uses conda, --directory writes elsewhere.
    """
    sys.exit(_snakemake(config_files(configs), words, profiles))


@click.command(cls=ConfigCommand, context_settings=PASS_ON)
@config_option
@click.option("--gpus", multiple=True, type=click.IntRange(1), help="Say the wall time with so many GPUs; repeatable.")
@click.option(
    "--gpu-speed",
    type=Finite(0, min_open=True),
    default=1.0,
    help="Relative to an H100's.",
)
@snakemake_words
def plan(configs: tuple[str, ...], gpus: tuple[int, ...], gpu_speed: float, words: tuple[str, ...]) -> None:
    """Say what the next run would do and take.

    That is jobs and reasons, trainings, cells and merges, GPU-hours, wall time, memory and disk. Options of Snakemake's
    that choose the directory, targets and forced jobs count.
    """
    from workflow_scripts.planning.jobs import read_jobs
    from workflow_scripts.planning.overview import GPUS, overview

    planned = read_jobs([*_common_words(config_files(configs)), *words])
    if planned is None:
        sys.exit(1)
    study, jobs, folder = planned
    with contextlib.chdir(folder):
        click.echo(overview(study, jobs, gpus or GPUS, gpu_speed))


@click.command(cls=ConfigCommand, context_settings=PASS_ON)
@config_option
@click.option("--experiment", help="A merge for LOCALE instead of its own model, by the name that the report gives it.")
@click.option("--seed", type=int, help="The training seed. [default: the study's first]")
@click.argument("locale")
@snakemake_words
def export(
    configs: tuple[str, ...], experiment: str | None, seed: int | None, locale: str, words: tuple[str, ...]
) -> None:
    """Write a model or a merge as a Hugging Face folder.

    The folder has a model card and loads without this project; its path is printed.
    """
    files = config_files(configs)
    study = read_study(files)
    seed = study.run.seeds[0] if seed is None else seed
    for kind, name, known in (
        ("locale", locale, study.run.locales),
        ("seed", str(seed), map(str, study.run.seeds)),
        ("experiment", experiment, study.experiments),
    ):
        if name in study.tuned:
            raise XlmergeError(
                f"{name} picks another merge for each target: export the one that the column `picked` of "
                "report/merge_details.csv names"
            )
        if name is not None and name not in (known := list(known)):
            raise XlmergeError(unknown(kind, name, known))
    template = study.paths.export_merge if experiment else study.paths.export_model
    folder = template.format(locale=locale, target=locale, experiment=experiment, seed=seed)
    code = _snakemake(files, [folder, *words])
    if code == 0 and Path(folder).is_dir():
        click.echo(folder)
    sys.exit(code)


@click.command(cls=ConfigCommand, context_settings=PASS_ON)
@config_option
@snakemake_words
def prune(configs: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Delete cached results that no present one is made of."""
    sys.exit(_snakemake(config_files(configs), ["prune_cache", *words]))


def _snakemake(files: Sequence[str], words: Sequence[str], profiles: Sequence[str] = ()) -> int:
    """Run Snakemake in this process; return its exit code."""
    from snakemake.cli import main

    chosen = [word for profile in profiles for word in ("--profile", _profile(profile))]
    cores = [] if profiles or _says_where_to_run(words) else ["--cores", "all"]
    snakefile = ["--snakefile", str(workflow_folder() / "Snakefile")]
    try:
        main([*_common_words(files), *chosen, *cores, *snakefile, *words])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    raise AssertionError("Snakemake ends with an exit code")


def _common_words(files: Sequence[str]) -> list[str]:
    return ["--configfile", *files, "--workflow-profile", str(workflow_folder() / "profiles" / "default")]


def _profile(name: str) -> str:
    """Return the user's profile of that name, else this workflow's; Snakemake looks for the former only."""
    from snakemake.cli import get_profile_dir

    own = workflow_folder() / "profiles" / name
    return str(own) if get_profile_dir(name) is None and own.is_dir() else name


def _says_where_to_run(words: Sequence[str]) -> bool:
    short, long = ("-c", "-j", "-e"), ("--cores", "--jobs", "--executor", "--workflow-profile")
    return "SNAKEMAKE_PROFILE" in os.environ or any(
        word.startswith(long) or (word.startswith(short) and not word.startswith("--")) for word in words
    )
