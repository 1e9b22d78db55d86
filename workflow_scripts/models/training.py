"""Fine-tuning with transformers' Trainer on a compact vocabulary."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    set_seed,
)

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.gpus import has_bfloat16
from workflow_scripts.models.checkpoints import TaskVector, changed_tokens, set_task_vector, task_vector_of
from workflow_scripts.models.collapse import StopWhenDiverged, check_finite
from workflow_scripts.models.convergence import Convergence, fit_schedule, shortfall
from workflow_scripts.models.length import Length, length_of
from workflow_scripts.models.predict import freeze, on_states, predict, states_of
from workflow_scripts.models.tokens import CompactModel, compact_model

Example = dict[str, Any]
BATCH_TOKENS = 2048  # of passes that train nothing
LOOKED_AT = 500  # training sentences that a finished model is tried on


@dataclass
class Trained:
    """A finished fine-tune: its task vector and its history."""

    task_vector: TaskVector
    history: dict[str, Any]


def finetune(
    base: str | Path,
    train: pd.DataFrame,
    validation: pd.DataFrame | None,
    settings: dict[str, Any],
    seed: int,
    scratch: str | Path,
    start: TaskVector | None = None,
    steps: int | None = None,
) -> Trained:
    """Train a model from θ₀, or from another model of the run.

    Parameters
    ----------
    base : path
        θ₀'s Hugging Face folder.
    train, validation : DataFrame
        Example tables. Without validation data the planned steps are trained and the last weights are the result.
    settings : dict
        The config's `finetune:` block.
    seed : int
        Seed of data order and dropout.
    scratch : path
        Folder for the Trainer's checkpoints; training resumes from the last one in it.
    start : TaskVector, optional
        Start from θ₀ plus this one; the result is the whole difference to θ₀ all the same.
    steps : int, optional
        Optimiser steps, instead of a length by the settings and the validation loss.

    Raises
    ------
    TrainingFailed
        If training diverges.
    """
    tables = [train] if validation is None else [train, validation]
    texts = [table["text"].tolist() for table in tables]
    compact = compact_model(base, texts, settings["max_length"], changed_tokens(start, base) if start else ())
    model, vocabulary = compact.model, compact.vocabulary
    if start is not None:
        set_task_vector(model, base, vocabulary, start)
    if settings["freeze_embeddings"]:
        model.get_input_embeddings().weight.requires_grad_(False)
    with _above_frozen(compact, settings["freeze_layers"]) as (encoded, pad):
        history = _trained(compact, encoded, pad, tables, settings, seed, scratch, steps)
    check_finite(history)
    return Trained(task_vector_of(model.float(), base, vocabulary), history)


@contextlib.contextmanager
def _above_frozen(compact: CompactModel, layers: int) -> Iterator[tuple[list[list[list[int]]], int]]:
    """Yield the texts as ids, and padding's id, of a model that begins above its frozen layers, if it has any."""
    if not layers:
        yield compact.encoded, compact.vocabulary.pad
        return
    freeze(compact.model, layers)
    states = [states_of(compact.model, layers, encoded, BATCH_TOKENS) for encoded in compact.encoded]
    with on_states(compact.model, layers, states) as inputs:
        yield inputs


def _trained(
    compact: CompactModel,
    encoded: list[list[list[int]]],
    pad: int,
    tables: list[pd.DataFrame],
    settings: dict[str, Any],
    seed: int,
    scratch: str | Path,
    steps: int | None,
) -> dict[str, Any]:
    """Train a model that is set up, and return the history."""
    set_seed(seed)
    datasets = [_examples(tokens, table) for tokens, table in zip(encoded, tables, strict=True)]
    judged = len(datasets) > 1
    length = length_of(settings, len(datasets[0]))
    if steps is not None:
        length = Length(steps, steps, max(1, min(steps, length.judged_every)))
    convergence = Convergence(settings["early_stopping"] if judged and steps is None else 0, length.least)
    trainer = LocaleTrainer(
        model=compact.model,
        args=training_arguments(settings, seed, scratch, length, judged),
        train_dataset=datasets[0],
        eval_dataset=datasets[1] if judged else None,
        data_collator=Collator(pad),
        compute_metrics=_accuracy,
        convergence=convergence,
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(Path(scratch)))
    history = _history(trainer, compact)
    if judged:
        history.update(_judgement(trainer, tables[1]), training_accuracy=_training_accuracy(compact, datasets[0]))
        history["not_converged"] = shortfall(history)
    return history


def last_checkpoint(scratch: Path) -> str | None:
    """Return the newest complete checkpoint; the state file is the last one that the Trainer writes into it."""
    for folder in sorted(scratch.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[-1]), reverse=True):
        if _is_complete(folder / "trainer_state.json"):
            print(f"resuming from {folder.name}")
            return str(folder)
    return None


def _is_complete(state: Path) -> bool:
    try:
        return bool(json.loads(state.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):  # killed while it was written
        return False


def _examples(encoded: list[list[int]], table: pd.DataFrame) -> list[Example]:
    return [{"input_ids": tokens, "labels": int(label)} for tokens, label in zip(encoded, table["label"], strict=True)]


class LocaleTrainer(Trainer):
    """A Trainer that never decays embeddings, so that rows of unseen tokens keep their exact values.

    A batch's loss is taken for the mean that it is. The library takes it for a sum over all batches of a step divided
    by their sentences, which classifiers never return, and so makes the gradient of a step of n batches or processes n
    times too long.
    """

    def __init__(self, *args: Any, convergence: Convergence, **kwargs: Any) -> None:
        super().__init__(*args, callbacks=[StopWhenDiverged(), convergence], **kwargs)
        self.convergence = convergence
        self.model_accepts_loss_kwargs = False

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Return the schedule of the settings, which ends where the training ends."""
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        fit_schedule(scheduler, self.convergence)
        return scheduler

    def get_decay_parameter_names(self, model: PreTrainedModel) -> list[str]:
        """Return the weights that decay: the library's choice without any embedding."""
        embeddings = {
            f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Embedding)
        }
        return [name for name in super().get_decay_parameter_names(model) if name not in embeddings]


class Collator:
    """Pads a batch to its longest sentence with the compact padding id."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, examples: list[Example]) -> dict[str, torch.Tensor]:
        """Return ``input_ids`` and ``attention_mask`` (B, L) and ``labels`` (B,)."""
        rows = [torch.tensor(e["input_ids"]) for e in examples]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad)
        lengths = torch.tensor([len(r) for r in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([e["labels"] for e in examples])}


def training_arguments(
    settings: dict[str, Any], seed: int, scratch: str | Path, length: Length, judged: bool = True
) -> TrainingArguments:
    """Return the Trainer's arguments for a `finetune:` block; `judged`: there are validation data to choose by."""
    precision = resolve_precision(settings["precision"])
    arguments = TrainingArguments(
        output_dir=str(scratch),
        max_steps=length.most,
        per_device_train_batch_size=settings["batch_size"] // settings["gpus"],
        per_device_eval_batch_size=64,
        gradient_accumulation_steps=settings["gradient_accumulation"],
        learning_rate=settings["learning_rate"],
        warmup_steps=settings["warmup"],
        lr_scheduler_type=settings["schedule"],
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["max_grad_norm"],
        train_sampling_strategy="group_by_length",
        eval_strategy="steps" if judged else "no",
        eval_steps=length.judged_every,
        save_strategy="steps",
        save_steps=length.judged_every,
        logging_strategy="steps",
        logging_steps=length.judged_every,
        save_total_limit=1,
        load_best_model_at_end=judged,
        metric_for_best_model="loss",
        greater_is_better=False,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        tf32=precision == "tf32" or None,
        torch_compile=settings["compile"],
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        report_to="none",
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # a process trains on one GPU; several take several processes
    return arguments


def resolve_precision(wanted: str) -> str:
    """Return ``float32``, ``tf32``, ``bf16`` or ``fp16``; ``auto`` is bf16 where the hardware multiplies it natively.

    Raises
    ------
    XlmergeError
        If the hardware cannot do what is wanted.
    """
    gpu, native_bf16 = torch.cuda.is_available(), has_bfloat16()
    if wanted == "auto":
        return "bf16" if native_bf16 else "fp16" if gpu else "float32"
    ampere = gpu and native_bf16  # the first GPUs with TF32 are the first with bfloat16
    if (wanted == "tf32" and not ampere) or (wanted == "fp16" and not gpu) or (wanted == "bf16" and gpu and not ampere):
        raise XlmergeError(f"this machine cannot train in `precision: {wanted}`; use `auto`, or `float32`")
    return wanted


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float((np.argmax(prediction.predictions, -1) == prediction.label_ids).mean())}


def _history(trainer: LocaleTrainer, compact: CompactModel) -> dict[str, Any]:
    log = trainer.state.log_history
    keep = ("epoch", "step", "loss", "grad_norm", "learning_rate", "eval_loss", "eval_accuracy")
    return {
        "log": [{k: e[k] for k in keep if k in e} for e in log if "loss" in e or "eval_loss" in e],
        "steps": trainer.state.global_step,
        "planned_steps": trainer.args.max_steps,
        "stopped_falling": trainer.convergence.since is not None,
        "vocabulary": len(compact.vocabulary.ids),
        "processes": trainer.args.world_size,
        "precision": next((name for name in ("bf16", "fp16", "tf32") if getattr(trainer.args, name)), "float32"),
        "device": str(trainer.args.device),
    }


def _judgement(trainer: LocaleTrainer, validation: pd.DataFrame) -> dict[str, Any]:
    best = trainer.state.best_global_step
    return {
        "best_validation_loss": trainer.state.best_metric,
        "best_validation_accuracy": next(
            e["eval_accuracy"] for e in trainer.state.log_history if e["step"] == best and "eval_accuracy" in e
        ),
        "best_step": best,
        "majority_accuracy": float(validation["label"].value_counts(normalize=True).iloc[0]),
        "n_validation": len(validation),
    }


def _training_accuracy(compact: CompactModel, examples: list[Example]) -> float:
    chosen = np.unique(np.linspace(0, len(examples) - 1, min(LOOKED_AT, len(examples))).astype(int))
    logits = predict(compact.model.eval(), [examples[i]["input_ids"] for i in chosen], BATCH_TOKENS)
    return float((logits.argmax(1) == np.array([examples[i]["labels"] for i in chosen])).mean())
