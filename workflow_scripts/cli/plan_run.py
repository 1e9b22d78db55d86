"""What the next run would do and take: ``python -m workflow_scripts.cli.plan_run --configfile presets/smoke.yaml``.

``--gpus 4 8`` says the wall time with so many GPUs, ``--gpu-speed 0.4`` that they are slower than the measured one. All
other options are Snakemake's own; those that choose the config, the directory, targets and forced jobs count.
"""

import argparse
import sys

from workflow_scripts.planning.jobs import read_jobs
from workflow_scripts.planning.overview import GPUS, overview


def main(arguments: list[str]) -> int:
    """Print the plan; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--gpus", type=int, nargs="+", default=GPUS)
    parser.add_argument("--gpu-speed", type=float, default=1.0)
    options, rest = parser.parse_known_args(arguments)
    found = read_jobs(rest)
    if found is None:
        return 1
    print(overview(*found, options.gpus, options.gpu_speed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
