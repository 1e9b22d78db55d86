"""What a training that failed looks like: not finite, or no better than always saying the majority class."""

import math
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from workflow_scripts.core.errors import XlmergeError


class TrainingFailed(XlmergeError):
    """A training that diverged or collapsed; another seed may do better."""


class StopWhenDiverged(TrainerCallback):
    """Ends a training as soon as a logged loss or gradient norm is not finite."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Raise a `TrainingFailed` for numbers that are not finite."""
        watched = ["loss", "eval_loss"]
        if not args.fp16:  # its loss scaling overflows now and then, and skips those steps
            watched.append("grad_norm")
        numbers = {name: float(logs[name]) for name in watched if logs and name in logs}
        if not all(map(math.isfinite, numbers.values())):
            raise _diverged(
                ", ".join(f"{name} {value:g}" for name, value in numbers.items()) + f", step {state.global_step}"
            )


def check_finite(history: dict[str, Any]) -> None:
    """Raise a `TrainingFailed` for a training that diverged."""
    losses = [e[k] for e in history["log"] for k in ("loss", "eval_loss") if k in e]
    if not losses or not np.isfinite(losses).all():
        raise _diverged(f"losses {losses}")


def check_learned(history: dict[str, Any]) -> None:
    """Raise a `TrainingFailed` for a training that collapsed to the majority class, by its validation data.

    The best judgement must be above the majority class, and so must the last one: a model that collapsed later on was
    on its way there when its best checkpoint was taken.
    """
    best, majority = history["best_validation_accuracy"], history["majority_accuracy"]
    if best is None or best <= majority:
        raise TrainingFailed(
            f"training learned nothing: validation accuracy {best} is not above the majority class ({majority:.3f}). "
            "Lower `finetune.learning_rate`, train longer (`epochs`), change the seed, or give more training data"
        )
    last = [e["eval_accuracy"] for e in history["log"] if "eval_accuracy" in e][-1:]
    if last and last[0] <= majority:
        raise TrainingFailed(
            f"training collapsed: validation accuracy fell from {best:.3f} to {last[0]:.3f}, not above the majority "
            f"class ({majority:.3f}). Lower `finetune.learning_rate` or raise `warmup`"
        )


def _diverged(what: str) -> TrainingFailed:
    return TrainingFailed(
        f"training diverged ({what}): lower `finetune.learning_rate`, raise `warmup`, or train in `precision: float32`"
    )
