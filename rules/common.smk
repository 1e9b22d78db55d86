# Needs: the config. Makes: the checked study S, its paths P, and the helpers that the other rule files share.

import fcntl
import json
import logging
import os
import sys

from snakemake.exceptions import WorkflowError

from workflow_scripts.core.batch_errors import batch_system_errors
from workflow_scripts.core.digests import digest_of_files
from workflow_scripts.core.environment import set_environment
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.fingerprint import fingerprint
from workflow_scripts.core.registry import load, names, resolve
from workflow_scripts.core.study import checkpoint_files, load_study
from workflow_scripts.selection.plan import entry_key, planned_merges

set_environment(workflow.basedir)
logging.raiseExceptions = False  # the rich logger stumbles over jobs that the batch system refused: they have no log

try:
    S = load_study(config)
except XlmergeError as error:
    raise WorkflowError(f"xlmerge: {error}") from None

P = S.paths
LOCALES = S.run.locales
SEEDS = S.run.seeds
SPLITS = ["train", "validation", "test"]
SCRIPTS = f"{workflow.basedir}/workflow_scripts"
ENVIRONMENT = f"{workflow.basedir}/envs/xlmerge.yaml"


wildcard_constraints:
    locale="|".join(map(re.escape, LOCALES)),
    target="|".join(map(re.escape, LOCALES)),
    seed="|".join(map(str, SEEDS)),
    split="|".join(SPLITS),
    measure="|".join(map(re.escape, S.measures)),
    experiment="|".join(map(re.escape, S.experiments)),


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


def template_digest():
    """Identity of the report's templates, which the code fingerprint does not see."""
    folder = f"{SCRIPTS}/analysis/templates"
    return digest_of_files(*(f"{folder}/{name}" for name in sorted(os.listdir(folder))))


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
        "code": fingerprint("evaluation.score_checkpoint"),
        "cache": f"{P.cache}/cells",
    }


def similarity_inputs(w):
    needs = load("similarity measure", S.measures[w.measure][0]).NEEDS
    return (
        {"validation": P.seed_matrix_validation.format(seed=w.seed)}
        if needs == "validation_matrix"
        else {}
    )


def planned(w):
    """The slices of the plan for one target and seed, by experiment."""
    plan = planned_merges(checkpoints.select.get().output.plan)
    keys = {
        name: entry_key(name, w.target, w.seed)
        for name, e in S.experiments.items()
        if w.target in e.targets
    }
    return {name: plan[key] for name, key in keys.items()}


def sources(w):
    return sorted(
        {locale for entry in planned(w).values() for locale in entry["sources"]}
    )


def merge_codes(w):
    methods = {entry["method"] for entry in planned(w).values()}
    return {
        m: fingerprint("merging.workflow_merge", resolve("merge method", m))
        for m in sorted(methods)
    }
