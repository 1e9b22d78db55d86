"""Merge checkpoints from the command line: ``python -m workflow_scripts.cli.merge_checkpoints --help``."""

import sys
from collections.abc import Sequence

from workflow_scripts.checkpoints import command
from workflow_scripts.core.errors import XlmergeError


def main(arguments: Sequence[str]) -> int:
    """Merge as the arguments say; return the exit code."""
    options = command.parse(arguments)
    bar = command.Bar()
    try:
        from workflow_scripts.checkpoints.merge import merge_checkpoints

        report = merge_checkpoints(
            **command.request(options),
            out=options.out,
            names=options.names,
            head=options.head,
            output=options.output,
            overwrite=options.overwrite,
            dry_run=options.dry_run,
            progress=bar,
        )
    except XlmergeError as error:
        bar.close()
        print(f"xlmerge: error: {error}", file=sys.stderr)
        return 1
    bar.close()
    print(command.summary(report, options.dry_run))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
