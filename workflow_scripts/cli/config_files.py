"""Which config a command means: the one that is given, ``config.yaml`` where it is called, or the default study."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from workflow_scripts.core.environment import workflow_folder
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.study.config_text import check_yaml
from workflow_scripts.study.study import Study, load_study

FLAGS = ("--configfile", "--configfiles")
SUFFIXES = (".yaml", ".yml", ".json")


class ConfigCommand(click.Command):
    """A command that takes ``--configfile A.yaml B.yaml``, as Snakemake does, and the flag once per file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give each further file a flag of its own; keep a ``--`` that is meant for Snakemake."""
        words: list[str] = []
        for word in args:
            continues = len(words) > 1 and words[-2] in FLAGS and word.endswith(SUFFIXES)
            words += [FLAGS[0], word] if continues else [word]
        if ctx.ignore_unknown_options and "--" in words:
            words.insert(words.index("--"), "--")
        return super().parse_args(ctx, words)


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--configfile``."""
    text = "The study; a further file goes on top. [default: config.yaml in this folder, else the demo]"
    return click.option(*FLAGS, "configs", multiple=True, metavar="FILE", help=text, type=click.Path())(function)


def config_files(given: Sequence[str]) -> list[str]:
    """Return the config files that a command means, as absolute paths.

    Parameters
    ----------
    given : sequence of str
        A file that is not in this folder is looked for beside the Snakefile: ``presets/tiny.yaml``.
    """
    if not given and not Path("config.yaml").is_file():
        click.echo("xlmerge: no config.yaml here: the demo is meant (`xlmerge init` writes a config)", err=True)
    return [str(_config_file(name)) for name in given or ["config.yaml"]]


def _config_file(name: str) -> Path:
    for path in (Path(name), workflow_folder() / name):
        if path.is_file():
            check_yaml(path)
            return path.resolve()
    raise XlmergeError(f"there is no config {name}")


def read_study(files: Iterable[str]) -> Study:
    """Return the study of config files, put together as Snakemake does it."""
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    for file in files:
        update_config(config, load_configfile(file))
    return load_study(config)
