"""Whether a run may use a fast number format: its models' predictions must stay the same."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.gpus import has_bfloat16
from workflow_scripts.evaluation.cells import FLOAT32
from workflow_scripts.evaluation.scoring import Scorer
from workflow_scripts.models.checkpoints import TaskVector, set_task_vector
from workflow_scripts.models.predict import predict

FAST = ("bf16", "medium")  # the fastest first
LEAST_EQUAL = 0.999  # share of the predictions that a fast format must leave as they are
SAMPLE = 400  # sentences per model and locale
Counts = dict[str, dict[str, int]]  # number format → ``equal`` predictions ``of`` how many


def candidates(wanted: str) -> tuple[str, ...]:
    """Return the formats to try for a setting, the fastest first; ``auto`` tries what the hardware has."""
    if wanted != "auto":
        return (wanted,)
    return FAST if has_bfloat16() else tuple(mode for mode in FAST if mode != "bf16")


def count_agreement(scorer: Scorer, models: Iterable[TaskVector], modes: Sequence[str]) -> Counts:
    """Count the predictions that each format leaves as float32 has them, on samples of the scorer's cells.

    Parameters
    ----------
    scorer : Scorer
    models : iterable of TaskVector
    modes : sequence of str
    """
    counts: Counts = {mode: {"equal": 0, "of": 0} for mode in modes}
    texts = [
        text
        for (target, _), cell in zip(scorer.wanted, scorer.encoded, strict=True)
        for text in _sample(target.locale, cell)
    ]
    for task_vector in models:
        set_task_vector(scorer.model, scorer.base, scorer.vocabulary, task_vector)
        exact = predict(scorer.model, texts, scorer.batch_tokens).argmax(1)
        for mode, count in counts.items():
            fast = predict(scorer.model, texts, scorer.batch_tokens, mode).argmax(1)
            count["equal"] += int(np.sum(fast == exact))
            count["of"] += len(exact)
    return counts


def _sample(locale: str, encoded: list[list[int]]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(derive_seed("precision", locale))
    return [encoded[i] for i in torch.randperm(len(encoded), generator=generator)[:SAMPLE].tolist()]


def decide(wanted: str, counts: Counts) -> dict[str, Any]:
    """Return the decision: ``mode``, what was ``wanted``, the counts, and the share ``least_equal`` that was asked for.

    Raises
    ------
    XlmergeError
        If one format was wanted and does not agree.
    """
    good = [mode for mode, count in counts.items() if count["equal"] >= LEAST_EQUAL * count["of"]]
    if not good and wanted != "auto":
        raise XlmergeError(_refusal(wanted, counts[wanted]))
    mode = good[0] if good else FLOAT32
    return {"mode": mode, "wanted": wanted, "agreement": counts, "least_equal": LEAST_EQUAL}


def _refusal(mode: str, count: Mapping[str, int]) -> str:
    changed = count["of"] - count["equal"]
    return (
        f"`evaluation.precision: {mode}` changes {changed} of {count['of']} predictions, more than "
        f"{1 - LEAST_EQUAL:.1%}: use `float32`, or `auto` for the fastest format that changes fewer"
    )
