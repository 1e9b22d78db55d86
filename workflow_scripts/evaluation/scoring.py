"""Scoring models on locales: tokenise and cut the vocabulary once, then put weights in and predict."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workflow_scripts.data.examples import read_examples
from workflow_scripts.evaluation.cells import Cell
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.evaluation.precision import FLOAT32
from workflow_scripts.models.checkpoints import TaskVector, set_task_vector
from workflow_scripts.models.compact import of_tokens
from workflow_scripts.models.predict import predict
from workflow_scripts.models.tokens import TokenCache


class Scorer:
    """θ₀ on a compact vocabulary, ready to score task vectors on some cells.

    Parameters
    ----------
    base : path
        θ₀'s folder.
    wanted : list of (Target, split)
        Each example table is verified against its digest.
    settings : dict
        The config's `evaluation:` block, the number format decided.
    digest : str
        θ₀'s digest.
    cache : path
        Folder of tokenised texts.
    """

    def __init__(
        self, base: str | Path, wanted: list[Cell], settings: dict[str, Any], digest: str, cache: str | Path
    ) -> None:
        self.base, self.wanted, self.batch_tokens = base, wanted, settings["batch_tokens"]
        self.precision = settings.get("precision", FLOAT32)
        tables = [read_examples(target.tables[split], target.digest_files[split]) for target, split in wanted]
        known = [target.digests[split] for target, split in wanted]
        texts = {data: table["text"].tolist for data, table in zip(known, tables, strict=True)}
        tokens = TokenCache(cache, base, digest, settings["max_length"]).get(texts)
        compact = of_tokens(base, [tokens[data] for data in known])
        self.model, self.vocabulary, self.encoded = compact.model, compact.vocabulary, compact.encoded
        self.labels = [table["label"].to_numpy() for table in tables]

    def scores(self, task_vector: TaskVector) -> Iterator[tuple[Cell, Scores]]:
        """Yield the scores of θ₀ + τ on every wanted cell."""
        set_task_vector(self.model, self.base, self.vocabulary, task_vector)
        for cell, encoded, labels in zip(self.wanted, self.encoded, self.labels, strict=True):
            yield cell, Scores.of(predict(self.model, encoded, self.batch_tokens, self.precision), labels)
