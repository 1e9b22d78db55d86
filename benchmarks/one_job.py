"""Run one job of the workflow as Snakemake would: ``python -m benchmarks.one_job FILE``; the file says which."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from workflow_scripts.core.job import run_job


def main() -> None:
    """Run it: ``script``, ``rule``, ``inputs``, ``outputs``, ``settings``."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    run_job(
        importlib.import_module(f"workflow_scripts.jobs.{job['script']}").main,
        SimpleNamespace(
            rule=job["rule"],
            input=job["inputs"],
            output=job["outputs"],
            params={"settings": json.dumps(job["settings"]), "code": ""},
            log=None,
            resources={},
            threads=1,
        ),
    )


if __name__ == "__main__":
    main()
