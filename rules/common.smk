# Needs: the config. Makes: the checked study S, its paths P, and the helpers that the other rule files share.

import fcntl
import json
import logging
import os
from pathlib import Path
import sys
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from workflow_scripts.findings.older_studies import read_reference, reference_of
from workflow_scripts.core.messages import batch_system_errors
from workflow_scripts.core.digests import digest_of_files
from workflow_scripts.core.environment import PACKAGE, set_environment
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.fingerprint import fingerprint
from workflow_scripts.core.registry import load, names, resolve
from workflow_scripts.study.progress import follow_stages
from workflow_scripts.study.study import (
    COSINES,
    checkpoint_files,
    load_study,
    own_model,
)
from workflow_scripts.evaluation.cells import FLOAT32
from workflow_scripts.merging.method import load_method, methods_in
from workflow_scripts.selection.plan import entry_key
from workflow_scripts.selection.systems import FEW_SHOT, SEED_SOUP
from workflow_scripts.study.slices import planned_merges, planned_trainings
from workflow_scripts.similarity.context import HEAVY as HEAVY_INPUTS

set_environment()
logging.raiseExceptions = False  # the rich logger stumbles over jobs that the batch system refused: they have no log

try:
    S = load_study(config)
except XlmergeError as error:
    raise WorkflowError(f"xlmerge: {error}") from None

if workflow.is_main_process:
    follow_stages(S, logger)

P = S.paths
LOCALES = S.run.locales
SEEDS = S.run.seeds
SPLITS = ["train", "validation", "test"]
SCRIPTS = str(PACKAGE)
ENVIRONMENT = f"{workflow.basedir}/envs/xlmerge.yaml"

TARGETS = S.targets
BASELINES = S.merged_baselines
TRAINED = [
    t
    for t in TARGETS
    if FEW_SHOT in S.run.baselines or any(t in e.joint for e in S.experiments.values())
]
METHODS = {
    name: load_method(e.settings["method"], e.settings["method_parameters"])
    for name, e in S.experiments.items()
} | {name: load_method("average", {}) for name in BASELINES}
MEASUREMENTS = {
    m.measurement.key: m.measurement for m in METHODS.values() if m.measurement
}

PRECISION = [] if S.run.evaluation.precision == FLOAT32 else [P.precision]

NEEDS = {
    name: set(load("similarity measure", measure).NEEDS)
    for name, (measure, _) in S.measures.items()
}


wildcard_constraints:
    locale="|".join(map(re.escape, LOCALES)),
    target="|".join(map(re.escape, LOCALES)),
    seed="|".join(map(str, SEEDS)),
    split="|".join(SPLITS),
    measure="|".join(map(re.escape, S.measures)),
    text="|".join(map(re.escape, LOCALES)),
    measurement="|".join(map(re.escape, MEASUREMENTS)) or "none",
    experiment="|".join(map(re.escape, S.experiments)),


# Sidecars of the jobs that look things up: what the cache is kept for.
LOOKED_UP = (
    expand(P.model_info, locale=LOCALES, seed=SEEDS)
    + expand(P.row_info, locale=LOCALES, seed=SEEDS)
    + expand(P.merge_info, target=TARGETS, seed=SEEDS)
    + expand(P.trained_info, target=TRAINED, seed=SEEDS)
)

# What every analysis of a finished run reads, and is told of it.
RESULTS = {
    "evaluations": expand(P.evaluation, target=TARGETS),
    "plan": P.plan,
    "matrix": P.matrix_test,
    "matrix_validation": P.matrix_validation,
}
REPORT_SETTINGS = {
    "experiments": {name: e.settings for name, e in S.experiments.items()},
    "languages": S.languages,
    "run": {
        **S.run.model_dump(include={"run", "locales", "seeds", "pivot", "base"}),
        "labels": S.labels,
        "order": list(S.experiments),  # the config's, which sorted JSON loses
        "measures": {name: measure for name, (measure, _) in S.measures.items()},
    },
}


def stable(value):
    """Params as sorted JSON: key order must not look like a change."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def log_path(rule, name):
    return P.log.replace("{rule}", rule).replace("{name}", name)


def hold_run_lock():
    """A second Snakemake on the same run gets a clear error; the lock goes with the process, however it ends."""
    os.makedirs(os.path.dirname(P.lock), exist_ok=True)
    global _run_lock
    _run_lock = open(P.lock, "w")
    try:
        fcntl.flock(_run_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError(
            f"xlmerge: another Snakemake is working on run {S.run.run!r} ({P.lock} is held)"
        ) from None
    except OSError as error:
        print(
            f"xlmerge: warning: {P.lock} cannot be locked ({error}): start no second Snakemake on this run",
            file=sys.stderr,
        )


def wake_when_jobs_end():
    """Let Snakemake's scheduler wait for events alone, unless the user limits the rate of jobs.

    Its default limit, 100 jobs a second, wakes it once a second for each job that has ended, as long as jobs wait; it
    then looks at all inputs of all waiting jobs. With N waiting rows of N inputs each the run's head is busier than the jobs.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


def print_summary():
    """What a finished run found, and where the report is."""
    page, summary = Path(P.report, "report.html"), Path(P.report, "summary.txt")
    if page.is_file() and summary.is_file():
        print(f"\n{summary.read_text(encoding='utf-8')}\nThe report: {page}")


def template_digest(folder=""):
    """Identity of a report's templates, which the code fingerprint does not see."""
    files = sorted(Path(SCRIPTS, "report", "templates", folder).iterdir())
    return digest_of_files(*(file for file in files if file.is_file()))


def files_of(listed, *wildcards):
    """From what lists a job's needs, one tuple of wildcards each: a function that makes a template their files."""
    return lambda template: lambda w: [
        template.format(**{"seed": w.seed, **dict(zip(wildcards, values))})
        for values in listed(w)
    ]


def evaluation_data(locales):
    """Inputs of a job that scores locales: tables in order only, digests decide."""
    return {
        f"{split}_{kind}": (ancient if kind == "tables" else list)(
            expand(template, locale=locales, split=split)
        )
        for split in ("test", "validation")
        for kind, template in (("tables", P.examples), ("digests", P.examples_digest))
    }


def scoring_settings():
    """What shapes scores besides model and data, and where the cell cache is."""
    return {
        "evaluation": S.run.evaluation.model_dump(exclude={"threads"}),
        "code": fingerprint("evaluation.scoring"),
        "cache": P.cache,
    }
