"""The last word on a run: whether every merge was made."""

from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import read_json, write_json
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.job import run_job
from workflow_scripts.core.words import plural
from workflow_scripts.merging.merge_cells import list_failures


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> None:
    """Fail if merges could not be made, and withdraw the records that say so: the next run tries these again."""
    reasons: dict[str, str] = {}
    for path in inputs["failures"]:
        record = read_json(path)
        where = f"for {record['target']}, seed {record['seed']}"
        reasons |= {f"{name} {where}": reason for name, reason in record["failed"].items()}
        if record["failed"]:
            Path(path).unlink()
    if reasons:
        raise XlmergeError(
            f"{plural(len(reasons), 'merge')} could not be made, all else is done ({settings['report']}). "
            f"{list_failures(reasons)}. Mend the config or what the reasons name; the next run tries them again."
        )
    write_json(outputs["complete"], {"merges that failed": 0})


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
