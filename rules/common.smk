# Needs: the config. Makes: the checked study S, its paths P, and the helpers that the other rule files share.

import fcntl
import json
import os
import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)
from workflow_scripts.core.digests import digest_of_files
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.fingerprint import fingerprint
from workflow_scripts.core.registry import load, names, resolve
from workflow_scripts.core.study import checkpoint_files, load_study
from workflow_scripts.selection.plan import entry_key, planned_merges

os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [workflow.basedir, os.environ.get("PYTHONPATH")])
)
os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # spinning threads of two processes starve each other
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

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


def template_digest():
    """Identity of the report's templates, which the code fingerprint does not see."""
    folder = f"{SCRIPTS}/analysis/templates"
    return digest_of_files(*(f"{folder}/{name}" for name in sorted(os.listdir(folder))))
