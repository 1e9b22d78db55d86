"""The command ``xlmerge``: its subcommands, its version, its errors, its completion in a shell."""

from typing import Any

import click
from click.shell_completion import get_completion_class

from workflow_scripts.cli.check_command import check
from workflow_scripts.cli.compare_command import compare
from workflow_scripts.cli.init_command import init
from workflow_scripts.cli.merge_command import merge
from workflow_scripts.cli.questions import recommend, report
from workflow_scripts.cli.runs import export, plan, prune, run
from workflow_scripts.core.errors import XlmergeError


class Failure(click.ClickException):
    """An error that a user can act on, as one message; the exit code is 1."""

    def show(self, file: Any = None) -> None:
        """Print the message to standard error."""
        click.echo(f"xlmerge: error: {self.format_message()}", file=file, err=True)


class Commands(click.Group):
    """Commands whose errors are messages, not tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except XlmergeError as error:
            raise Failure(str(error)) from None


@click.group(cls=Commands, context_settings={"max_content_width": 110})
@click.version_option(package_name="xlmerge")
def main() -> None:
    """Find out when merging per-language models beats the best single one.

    `xlmerge init` writes a config, `xlmerge check` looks at the data, `xlmerge plan` says what a run would take,
    `xlmerge run` runs it, and `xlmerge report` says what it found. Exit codes: 0 done, 1 failed, 2 wrong use.
    """


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what a shell needs to complete commands and options.

    For bash, put eval "$(xlmerge completion bash)" into ~/.bashrc.
    """
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(main, {}, "xlmerge", "_XLMERGE_COMPLETE").source())


for command in (init, check, run, plan, recommend, report, compare, export, prune, merge):
    main.add_command(command)
