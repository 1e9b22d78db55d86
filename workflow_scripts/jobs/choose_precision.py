"""The number format of the run's forward passes, tried out on a few of its models."""

from typing import Any

import torch

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.inputs import stated
from workflow_scripts.core.job import run_job
from workflow_scripts.core.messages import say
from workflow_scripts.evaluation.agreement import candidates, count_agreement, decide
from workflow_scripts.evaluation.cells import Target
from workflow_scripts.evaluation.scoring import Scorer
from workflow_scripts.models.checkpoints import load_task_vector

SPLIT = "validation"


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the decision."""
    tables = zip(settings["locales"], stated(inputs, "table"), strict=True)
    cells = [(Target(locale, {SPLIT: t.path}, {SPLIT: t.digest_file}), SPLIT) for locale, t in tables]
    scorer = Scorer(inputs, cells, settings["scoring"], threads)
    base, wanted = read_digest(inputs["base_digest"]), settings["scoring"]["evaluation"]["precision"]
    models = (load_task_vector(model.path, base, model.digest_file) for model in stated(inputs, "model"))
    made = decide(wanted, count_agreement(scorer, models, candidates(wanted)))
    write_json(outputs["decision"], made)
    say(f"forward passes in {made['mode']}")
    return {"device": str(scorer.model.device), "torch_threads": torch.get_num_threads()}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
