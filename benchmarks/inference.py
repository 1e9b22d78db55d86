"""Scoring a row of the matrix against what research scripts do: ``python -m benchmarks.inference``.

One model of XLM-R base's shapes (random weights) on sentences with MASSIVE's lengths, one CPU thread or one GPU. Rates
are sentences per CPU second (per second on a GPU) of tokenised sentences; the row is 49 locales of 2 974 sentences with
what each way has to load and tokenise for it, extrapolated from its rate. The contenders take turns in each round; the
best of all rounds counts.

- ours: `evaluation.predict` on a compact vocabulary, texts tokenised once.
- Trainer: ``Trainer.predict`` in batches of 32, padded to 128 tokens or to the longest of the batch.
- plain loop: batches of 32 in the order of the file, padded to the longest; model, tokenizer and texts loaded anew for
  each pair of a model and a locale.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from benchmarks.xlm_r import LOCALES, TEST, Clock, arguments, chosen, machine, model_folder, sentences, table
from workflow_scripts.models.checkpoints import base_digest
from workflow_scripts.models.predict import close_calls, predict
from workflow_scripts.models.tokens import compact_model, tokenise

MODES = ("float32", "medium", "bf16")
BATCH = 32
OURS = "ours, {}"
PADDED, DYNAMIC, PLAIN = "Trainer, padded to 128", "Trainer, dynamic padding", "plain loop, loading per pair"


@dataclass
class Result:
    """What was measured of one way.

    Attributes
    ----------
    per_row, per_pair : float
        Seconds for loading and tokenising, once per row, or once per model and locale.
    rates : list of float
        Sentences per second, of each round.
    predictions : ndarray of int, shape (n,)
    """

    per_row: float
    per_pair: float = 0.0
    rates: list[float] = field(default_factory=list)
    predictions: np.ndarray = field(default_factory=lambda: np.empty(0))

    def add(self, seconds: float, logits: np.ndarray) -> None:
        """Take in a round."""
        self.rates.append(len(logits) / seconds)
        self.predictions = logits.argmax(1)

    @property
    def row_seconds(self) -> float:
        """Seconds of a whole row."""
        return self.per_row + LOCALES * (self.per_pair + TEST / max(self.rates))


def measure(folder: Path, device: str, texts: list[str], rounds: int, batch_tokens: int) -> dict[str, Any]:
    """Return the results by way, and what loading takes."""
    clock = Clock(device)
    verify, _ = clock.of(lambda: base_digest(folder))
    start_tokenizer, tokenizer = clock.of(lambda: AutoTokenizer.from_pretrained(folder))
    tokenizing, _ = clock.of(lambda: tokenise(tokenizer, texts, 128))
    ready, compact = clock.of(lambda: compact_model(folder, [texts], 128))
    (encoded,) = compact.encoded
    whole = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    plain_load, _ = clock.of(lambda: _load_pair(folder, device))
    batching, plain_batches = clock.of(lambda: _batches(tokenizer, texts))
    loading, encoding = ready - start_tokenizer - tokenizing, tokenizing * LOCALES * TEST / len(texts)
    results = {OURS.format(mode): Result(verify + start_tokenizer + loading + encoding) for mode in MODES}
    results |= {name: Result(plain_load + encoding) for name in (PADDED, DYNAMIC)}
    results[PLAIN] = Result(0.0, plain_load + batching * TEST / len(texts))
    padded_count = len(texts) // (8 if device == "cpu" else 1)
    ways: dict[str, Callable[[], np.ndarray]] = {
        OURS.format(mode): _ours(compact.model, encoded, batch_tokens, mode) for mode in MODES
    }
    ways[PADDED] = _trainer(whole, folder, texts[:padded_count], device, "max_length")
    ways[DYNAMIC] = _trainer(whole, folder, texts, device, "longest")
    ways[PLAIN] = lambda: np.concatenate(list(_loop(whole, plain_batches, device)))
    for work in ways.values() if device == "cuda" else ():
        work()  # kernels are chosen and compiled
    for number in range(rounds):
        for name, work in ways.items():
            results[name].add(*clock.of(work))
            print(f"round {number + 1}: {name}: {results[name].rates[-1]:.1f}", flush=True)
    close = close_calls(_ours(compact.model, encoded, batch_tokens, "bf16")())
    return {
        "results": results,
        "verify_seconds": verify,
        "load_model_seconds": loading,
        "load_tokenizer_seconds": start_tokenizer,
        "tokenise_seconds_of_a_row": encoding,
        "close_calls": len(close) / len(texts),
    }


def _ours(model: Any, encoded: list[list[int]], batch_tokens: int, mode: str) -> Callable[[], np.ndarray]:
    return lambda: predict(model, encoded, batch_tokens, mode)


def _load_pair(folder: Path, device: str) -> Any:
    """Load a model and a tokenizer as a script does for each pair; return the tokenizer."""
    AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).to(device)
    return AutoTokenizer.from_pretrained(folder)


def _batches(tokenizer: Any, texts: list[str]) -> list[Any]:
    parts = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
    return [tokenizer(part, padding=True, truncation=True, max_length=128, return_tensors="pt") for part in parts]


def _loop(model: Any, batches: list[Any], device: str) -> Iterator[np.ndarray]:
    with torch.no_grad():
        for batch in batches:
            yield model(**{name: tensor.to(device) for name, tensor in batch.items()}).logits.cpu().numpy()


def _trainer(model: Any, folder: Path, texts: list[str], device: str, padding: str) -> Callable[[], np.ndarray]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in tokenise(tokenizer, texts, 128)]
    options = TrainingArguments(
        output_dir=str(folder / "trainer"), per_device_eval_batch_size=BATCH, use_cpu=device == "cpu",
        report_to="none", disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    collator = DataCollatorWithPadding(tokenizer, padding=padding, max_length=128)
    trainer = Trainer(model=model, args=options, data_collator=collator)
    return lambda: trainer.predict(rows).predictions


def report(found: dict[str, Any], device: str) -> str:
    """Return the results as a table and a few sentences."""
    results: dict[str, Result] = found["results"]
    exact, unit = results[OURS.format("float32")].predictions, "CPU s" if device == "cpu" else "s"
    rows = [
        {
            "way": name,
            f"sentences per {unit}": f"{max(r.rates):.1f}",
            "× Trainer, dynamic": max(r.rates) / max(results[DYNAMIC].rates),
            f"row, {unit}": round(r.row_seconds),
            "row, × plain loop": results[PLAIN].row_seconds / r.row_seconds,
            "equal predictions": f"{np.mean(r.predictions == exact[: len(r.predictions)]):.2%}",
        }
        for name, r in results.items()
    ]
    notes = {k: round(v, 4) for k, v in found.items() if k != "results"}
    return f"{table(rows)}\n\n{json.dumps(notes)}\n{machine(device)}"


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--sentences", type=int, help="in the sample")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, help="the config's evaluation.batch_tokens")
    options = parser.parse_args()
    device, shape = chosen(options)
    count = options.sentences or (768 if device == "cpu" else 4 * TEST)
    with model_folder(options, shape) as model:
        batch_tokens = options.batch_tokens or (2048 if device == "cpu" else 16384)
        found = measure(model, device, sentences(count, 1, shape, shape.vocabulary // 5), options.rounds, batch_tokens)
    print(report(found, device))


if __name__ == "__main__":
    main()
