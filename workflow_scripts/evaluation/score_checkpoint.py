"""Scoring a task-vector file, everything it is made of verified first."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from workflow_scripts.core.digests import verify
from workflow_scripts.evaluation.cells import Cell
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.evaluation.scoring import score_model
from workflow_scripts.models.base import base_digest
from workflow_scripts.models.checkpoints import load_task_vector


def score_checkpoint(
    inputs: Mapping[str, Any], wanted: list[Cell], settings: dict[str, Any], threads: int
) -> Iterator[tuple[Cell, Scores]]:
    """Yield the scores of the model in ``inputs["model"]`` on the wanted cells.

    Parameters
    ----------
    inputs : mapping
        Paths ``base``, ``base_digest``, ``model``, and ``model_digest`` (None for a file made by this very job).
    """
    torch.set_num_threads(threads)
    base = verify(inputs["base"], base_digest(inputs["base"]), inputs["base_digest"])
    task_vector = load_task_vector(inputs["model"], base, inputs.get("model_digest"))
    return score_model(inputs["base"], task_vector, wanted, settings)
