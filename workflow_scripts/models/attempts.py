"""Trainings that fail are tried again with another seed: large encoders sometimes collapse to the majority class."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.core.atomic import remove, write_json
from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.messages import warn
from workflow_scripts.models.collapse import TrainingFailed, check_learned
from workflow_scripts.models.together import finetune_on_gpus
from workflow_scripts.models.training import Trained

FAILED = "failed_attempts.json"


def finetune_with_retries(
    base: str | Path,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    settings: dict[str, Any],
    seed: int,
    scratch: str | Path,
    retries: int,
    name: str,
) -> Trained:
    """Train as `training.finetune` does, again with the next derived seed each time training diverges or collapses.

    What failed is noted in `scratch`, so that a job that was killed goes on with the attempt that it was in, and a job
    that is started again after its last attempt says at once what it knows.

    Parameters
    ----------
    retries : int
        Most attempts after the first.
    name : str
        What is trained, for messages.

    Returns
    -------
    Trained
        Its history has ``attempts``: each one's ``seed`` and ``failure``, the last of which is null.

    Raises
    ------
    XlmergeError
        If the last attempt failed as well.
    """
    folder = Path(scratch)
    failed = _failed(folder)
    while len(failed) <= retries:
        attempt = {"seed": attempt_seed(seed, len(failed))}
        checkpoints = folder / f"attempt-{len(failed)}"
        try:
            trained = finetune_on_gpus(
                settings, checkpoints, base=base, train=train, validation=validation, seed=attempt["seed"]
            )
            check_learned(trained.history)
        except TrainingFailed as error:
            failed.append({**attempt, "failure": str(error)})
            write_json(folder / FAILED, failed)
            remove(checkpoints)
            warn(f"{name}: attempt {len(failed)} of {retries + 1} failed: {error}")
        else:
            trained.history["attempts"] = [*failed, {**attempt, "failure": None}]
            return trained
    reasons = "\n".join(f"  seed {a['seed']}: {a['failure']}" for a in failed)
    raise XlmergeError(
        f"{name}: no training learned anything, with {len(failed)} seeds:\n{reasons}\nChange `finetune:` or the data; "
        f"or allow more `finetune.retries` (now {retries}). To try the same seeds again, delete {folder}"
    )


def attempt_seed(seed: int, attempt: int) -> int:
    """Return the seed of an attempt; the first one has the training's own."""
    return derive_seed("attempt", seed, attempt) if attempt else seed


def _failed(folder: Path) -> list[dict[str, Any]]:
    path = folder / FAILED
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else []
