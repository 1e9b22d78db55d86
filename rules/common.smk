# Needs: the config. Makes: the checked study S, its paths P, what its jobs need N, and names that all rule files share.

import logging
from pathlib import Path

from snakemake.logging import logger

from workflow_scripts.core.environment import PACKAGE, set_environment
from workflow_scripts.core.fingerprint import data_fingerprint, fingerprint
from workflow_scripts.core.registry import resolve
from workflow_scripts.running import head
from workflow_scripts.running.console import take_over
from workflow_scripts.study.config_text import check_yaml
from workflow_scripts.study.needs import Needs, one_of, stable
from workflow_scripts.study.study import load_study

set_environment()
logging.raiseExceptions = False  # on a full disk Snakemake cannot write its log
CONSOLE = take_over(workflow, logger)

with head.clean_errors():
    for file in workflow.configfiles:
        check_yaml(Path(file))
    S = load_study(config)

if CONSOLE:
    CONSOLE.run, CONSOLE.folder = S.run.run, S.paths.root

P = S.paths
N = Needs(S)
LOCALES = S.run.locales
TARGETS = S.targets
SEEDS = S.run.seeds
SPLITS = ["train", "validation", "test"]
SCRIPTS = str(PACKAGE)
ENVIRONMENT = f"{workflow.basedir}/envs/xlmerge.yaml"


wildcard_constraints:
    locale=one_of(LOCALES),
    target=one_of(LOCALES),
    seed=one_of(SEEDS),
    split=one_of(SPLITS),
    measure=one_of(S.measures),
    text=one_of(LOCALES),
    measurement=one_of(N.measurements),
    experiment=one_of(S.experiments),
