"""The number format of the run's forward passes, tried out on a few of its models."""

from typing import Any

import torch

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.core.messages import say
from workflow_scripts.evaluation.agreement import candidates, count_agreement, decide
from workflow_scripts.evaluation.cells import Target
from workflow_scripts.evaluation.scoring import Scorer
from workflow_scripts.models.checkpoints import load_task_vector

SPLIT = "validation"


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the decision."""
    files = zip(settings["locales"], inputs["tables"], inputs["table_digests"], strict=True)
    cells = [(Target(locale, {SPLIT: table}, {SPLIT: digest}), SPLIT) for locale, table, digest in files]
    scorer = Scorer(inputs, cells, settings["scoring"], threads)
    base, wanted = read_digest(inputs["base_digest"]), settings["scoring"]["evaluation"]["precision"]
    pairs = zip(inputs["models"], inputs["model_digests"], strict=True)
    models = (load_task_vector(model, base, digest) for model, digest in pairs)
    made = decide(wanted, count_agreement(scorer, models, candidates(wanted)))
    write_json(outputs["decision"], made)
    say(f"forward passes in {made['mode']}")
    return {"device": str(scorer.model.device), "torch_threads": torch.get_num_threads()}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
