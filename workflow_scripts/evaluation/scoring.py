"""Scoring one model on locales: tokenise, cut the vocabulary, load, predict."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from workflow_scripts.data.examples import read_examples
from workflow_scripts.evaluation.cells import Cell
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.evaluation.predict import predict
from workflow_scripts.models.checkpoints import TaskVector, load_model
from workflow_scripts.models.vocabulary import Vocabulary, tokenise


def score_model(
    base: str | Path, task_vector: TaskVector, wanted: list[Cell], settings: dict[str, Any]
) -> Iterator[tuple[Cell, Scores]]:
    """Yield the scores of θ₀ + τ on (target, split) pairs.

    Parameters
    ----------
    base : path
        θ₀'s folder.
    task_vector : TaskVector
    wanted : list of (Target, split)
        Each example table is verified against its digest.
    settings : dict
        The config's `evaluation:` block.
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    tables = [read_examples(target.tables[split], target.digest_files[split]) for target, split in wanted]
    encoded = [tokenise(tokenizer, table["text"].tolist(), settings["max_length"]) for table in tables]
    vocabulary = Vocabulary.of(tokenizer, [tokens for texts in encoded for tokens in texts])
    model = load_model(base, vocabulary, task_vector).to("cuda" if torch.cuda.is_available() else "cpu")
    for cell, table, texts in zip(wanted, tables, encoded, strict=True):
        logits = predict(model, [vocabulary.encode(tokens) for tokens in texts], settings["batch_tokens"])
        yield cell, Scores.of(logits, table["label"].to_numpy())
