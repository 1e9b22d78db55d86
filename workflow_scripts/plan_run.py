"""What the next run would do and take: ``python -m workflow_scripts.plan_run --configfile presets/smoke.yaml``.

Takes Snakemake's own options; those that choose the config, the directory, targets and forced jobs count.
"""

import sys

from workflow_scripts.planning.jobs import read_jobs
from workflow_scripts.planning.overview import overview


def main(arguments: list[str]) -> int:
    """Print the plan; return the exit code."""
    found = read_jobs(arguments)
    if found is None:
        return 1
    print(overview(*found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
