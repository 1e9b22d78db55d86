"""Forward passes of the jobs that score models, everything they load verified first."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.evaluation.cells import Cell
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.evaluation.scoring import Scorer
from workflow_scripts.models.base import verify_base
from workflow_scripts.models.checkpoints import load_task_vector


def make_scorer(inputs: Mapping[str, Any], wanted: list[Cell], scoring: Mapping[str, Any], threads: int) -> Scorer:
    """Return a scorer for the job's θ₀ (paths ``base`` and ``base_digest`` of its inputs).

    Parameters
    ----------
    scoring : mapping
        ``evaluation`` settings, and the folder ``cache``: see `cells.cell_cache`.
    """
    torch.set_num_threads(threads)
    digest = verify_base(inputs["base"], inputs["base_digest"])
    return Scorer(inputs["base"], wanted, scoring["evaluation"], digest, token_folder(scoring["cache"]))


def token_folder(cells: str | Path) -> Path:
    """Return the folder of tokenised texts, beside that of the cells."""
    return Path(cells).parent / "tokens"


def score_checkpoint(
    inputs: Mapping[str, Any], base: str, wanted: list[Cell], scoring: Mapping[str, Any], threads: int
) -> Iterator[tuple[Cell, Scores]]:
    """Yield the scores of the model in ``inputs["model"]`` on the wanted cells; `base` is θ₀'s digest."""
    scorer = make_scorer(inputs, wanted, scoring, threads)
    return scorer.scores(load_task_vector(inputs["model"], base, inputs["model_digest"]))
