"""Merge checkpoints from the command line: ``python -m workflow_scripts.merge_checkpoints --help``."""

import sys
from collections.abc import Sequence

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.checkpoints import command


def main(arguments: Sequence[str]) -> int:
    """Merge as the arguments say; return the exit code."""
    options = command.parse(arguments)
    bar = command.Bar()
    try:
        from workflow_scripts.merging.checkpoints.merge import merge_checkpoints

        report = merge_checkpoints(
            options.sources,
            options.base,
            options.out,
            [command.step_of(options)],
            names=options.names,
            groups=options.groups,
            head=options.head,
            output=options.output,
            dtype=options.dtype,
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
