"""A training step against transformers' Trainer on the whole model: ``python -m benchmarks.training``.

XLM-R base's shapes (random weights), sentences with MASSIVE's lengths, batches of 32, one CPU thread or one GPU. Each
way runs in a process of its own: one epoch to warm up, one that is timed, without evaluation and saving. Memory is the
process's peak; on a GPU, the most that torch had allocated there. The batches are some of those that an epoch over
MASSIVE's 11 514 training sentences has: how far grouping by length goes depends on their number.

- Trainer: as commonly used: the whole embedding, batches in random order, padded to their longest sentence.
- ours: what `models.training` sets up: a compact vocabulary, sentences of like length together.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_pt_utils import LengthGroupedSampler

from benchmarks.xlm_r import LABELS, Clock, arguments, chosen, machine, model_folder, sentences, table
from workflow_scripts.models.checkpoints import Vocabulary, load_model
from workflow_scripts.models.tokens import tokenise
from workflow_scripts.models.training import Collator, LocaleTrainer, training_arguments

BATCH = 32
EPOCH = 11514  # sentences
PIECES = 8000  # different ones in one locale's training and validation sentences
SETTINGS = {
    "learning_rate": 2e-5, "epochs": 2, "batch_size": BATCH, "gradient_accumulation": 1, "warmup": 0.1,
    "schedule": "linear", "weight_decay": 0.01, "max_grad_norm": 1.0, "compile": False, "gpus": 1,
}  # fmt: skip
TRAINER, OURS, FROZEN = WAYS = "Trainer", "ours", "ours, frozen embedding"


class Epochs(TrainerCallback):
    """Notes when epochs begin and end."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.seconds = clock, 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.seconds = self.clock()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock; the last epoch counts."""
        self.seconds = self.clock() - self.seconds


def grouped_sample(encoded: list[list[int]], batches: int) -> list[list[int]]:
    """Return the sentences of some batches out of an epoch that is grouped by length, evenly spread over it."""
    torch.manual_seed(0)
    order = list(LengthGroupedSampler(BATCH, lengths=[len(tokens) for tokens in encoded]))
    starts = np.linspace(0, len(order) // BATCH - 1, batches).astype(int) * BATCH
    return [encoded[i] for start in starts for i in order[start : start + BATCH]]


def train(way: str, precision: str, folder: Path, device: str, texts: list[str], batches: int) -> dict[str, float]:
    """Return the seconds per step, and the peak memory in GB."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenise(tokenizer, texts, 128)
    sample = encoded[: batches * BATCH] if way == TRAINER else grouped_sample(encoded, batches)
    labels = np.random.default_rng(0).integers(0, LABELS, len(sample)).tolist()
    if way == TRAINER:
        trainer = _plain(folder, tokenizer, sample, labels, precision, device)
    else:
        trainer = _ours(folder, Vocabulary.of(tokenizer, encoded), sample, labels, precision)
    if way == FROZEN:
        trainer.model.get_input_embeddings().weight.requires_grad_(False)
    epochs = Epochs(Clock(device))
    trainer.add_callback(epochs)
    trainer.train()
    peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else _resident_gb()
    return {"step": epochs.seconds / batches, "peak_gb": peak}


def _resident_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _plain(
    folder: Path, tokenizer: Any, encoded: list[list[int]], labels: list[int], precision: str, device: str
) -> Any:
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    options = TrainingArguments(
        output_dir=str(folder / "trainer"), num_train_epochs=2, per_device_train_batch_size=BATCH,
        learning_rate=2e-5, weight_decay=0.01, bf16=precision == "bf16", use_cpu=device == "cpu",
        save_strategy="no", report_to="none", disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    rows = [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label}
        for ids, label in zip(encoded, labels, strict=True)
    ]
    return Trainer(model=model, args=options, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer))


def _ours(
    folder: Path, vocabulary: Vocabulary, encoded: list[list[int]], labels: list[int], precision: str
) -> LocaleTrainer:
    options = training_arguments({**SETTINGS, "precision": precision}, 0, folder / "ours")
    options.eval_strategy = options.save_strategy = "no"
    options.load_best_model_at_end, options.disable_tqdm = False, True
    options.train_sampling_strategy = "sequential"  # `encoded` is in the order of `grouped_sample`
    rows = [{"input_ids": vocabulary.encode(ids), "labels": label} for ids, label in zip(encoded, labels, strict=True)]
    model = load_model(folder, vocabulary)
    return LocaleTrainer(model=model, args=options, train_dataset=rows, data_collator=Collator(vocabulary.pad))


def in_own_process(way: tuple[str, str], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return what a way takes."""
    words = [sys.executable, "-m", "benchmarks.training", "--device", options.device, "--way", *way]
    words += ["--model", str(folder), "--batches", str(options.batches), *(["--small"] if options.small else [])]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(found: dict[tuple[str, str], dict[str, float]], device: str) -> str:
    """Return the results as a table."""
    unit = "CPU s" if device == "cpu" else "s"
    rows = [
        {
            "way": way,
            "precision": precision,
            f"step, {unit}": result["step"],
            "× Trainer": found[TRAINER, precision]["step"] / result["step"],
            "peak memory, GB": result["peak_gb"],
            "GB less than Trainer": found[TRAINER, precision]["peak_gb"] - result["peak_gb"],
        }
        for (way, precision), result in found.items()
    ]
    return f"{table(rows)}\n\n{machine(device)}"


def main() -> None:
    """Measure and print; in a child, one way only."""
    parser = arguments(__doc__)
    parser.add_argument("--batches", type=int, help="in an epoch")
    parser.add_argument("--way", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--precision", nargs="+", choices=["float32", "bf16"], default=["float32", "bf16"])
    options = parser.parse_args()
    device, shape = chosen(options)
    options.batches = options.batches or (10 if device == "cpu" else 100)
    if options.way:
        texts = sentences(EPOCH, 2, shape, min(PIECES, shape.vocabulary // 2))
        print(json.dumps(train(*options.way, options.model, device, texts, options.batches)))
        return
    with model_folder(options, shape) as model:
        found = {}
        for way in ((name, precision) for precision in options.precision for name in WAYS):
            found[way] = in_own_process(way, model, options)
            print(way, found[way], flush=True)
    print(report(found, device))


if __name__ == "__main__":
    main()
