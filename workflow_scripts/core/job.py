"""How every job of the workflow runs: threads, log, clean errors, provenance, death with its parent."""

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from workflow_scripts.core.atomic import naming_full_disk, write_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.environment import die_with_parent
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.gpus import claim_gpus
from workflow_scripts.core.lookup import recording
from workflow_scripts.core.messages import fail, logged
from workflow_scripts.core.provenance import sidecar


def run_job(main: Callable[..., dict[str, Any] | None], snakemake: Any) -> None:
    """Call ``main(inputs, outputs, settings, threads)`` as a job of the workflow.

    ``settings`` is the decoded JSON of the param of that name; all other params only decide what reruns. What `main`
    returns goes into the sidecar (the output named ``info``), beside the settings, the job's code fingerprint (the
    param ``code``), versions, times and input digests. Output goes into the log file. An `XlmergeError` is shown as
    one message without a traceback.
    """
    die_with_parent()
    gc.set_threshold(100_000, 50, 50)  # collecting while torch is imported costs a fifth of a short job
    outputs = dict(snakemake.output.items())
    inputs = dict(snakemake.input.items())
    params = dict(snakemake.params.items())
    settings = json.loads(params["settings"])
    watch = Stopwatch()
    with logged(str(snakemake.log[0]) if snakemake.log else None):
        try:
            if gpus := snakemake.resources.get("gpu"):  # from profiles/workstation; a batch system grants by itself
                claim_gpus(int(gpus))
            with recording() as record, naming_full_disk(next(iter(outputs.values()), ".")):
                facts = main(inputs, outputs, settings, snakemake.threads) or {}
            if "info" in outputs:
                facts = record.facts() | facts
                write_json(outputs["info"], sidecar(snakemake.rule, settings, params["code"], inputs, watch, facts))
        except XlmergeError as error:
            fail(f"error in {snakemake.rule}: {error}")
            sys.exit(1)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # taking torch apart would cost another second
