"""Measuring on a source model what a merge method wants to know of it, everything that is loaded verified first."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.core.signatures import plugin_function
from workflow_scripts.data.examples import read_examples
from workflow_scripts.models.checkpoints import (
    TaskVector,
    embedding_name,
    load_task_vector,
    set_task_vector,
    verify_base,
)
from workflow_scripts.models.predict import one_length_batches, predict
from workflow_scripts.models.tokens import compact_model

BATCH_TOKENS = 1024


class ModelText:
    """θ₀ + τ on a compact vocabulary, and tokenised sentences.

    Parameters
    ----------
    base : path
        θ₀'s folder.
    task_vector : TaskVector
    texts : sequence of str
    labels : sequence of int
        Gold labels; only `gold` shows them.
    max_length : int
        Longer sentences are cut.
    seed : int
        Of everything that is drawn.
    """

    def __init__(
        self,
        base: str | Path,
        task_vector: TaskVector,
        texts: Sequence[str],
        labels: Sequence[int],
        max_length: int,
        seed: int,
    ) -> None:
        compact = compact_model(base, [texts], max_length)
        self.model, self.vocabulary, (self.encoded,) = compact.model, compact.vocabulary, compact.encoded
        set_task_vector(self.model, base, self.vocabulary, task_vector)
        self._labels, self._seed, self._task_vector = labels, seed, task_vector

    def generator(self, purpose: str) -> torch.Generator:
        """Return a generator of its own for each purpose."""
        return torch.Generator().manual_seed(derive_seed(self._seed, purpose))

    def sample(self, count: int) -> list[int]:
        """Return positions of up to `count` sentences, drawn without replacement, in ascending order."""
        drawn = torch.randperm(len(self.encoded), generator=self.generator("sentences"))[:count]
        return sorted(drawn.tolist())

    def gold(self, chosen: Sequence[int]) -> torch.Tensor:
        """Return the gold labels of some sentences."""
        return torch.tensor([int(self._labels[i]) for i in chosen])

    def logits(self, chosen: Sequence[int]) -> np.ndarray:
        """Return the model's logits of some sentences, shape (n, labels)."""
        return predict(self.model, [self.encoded[i] for i in chosen], BATCH_TOKENS)

    def batches(self, chosen: Sequence[int], most: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield batches of sentences of one length: positions within `chosen`, and token ids, shape (b, length).

        Parameters
        ----------
        chosen : sequence of int
        most : int
            Most sentences in one batch.
        """
        texts = [self.encoded[i] for i in chosen]
        for same_length in one_length_batches(texts, BATCH_TOKENS):
            for start in range(0, len(same_length), most):
                batch = same_length[start : start + most]
                yield torch.tensor(batch), torch.tensor([texts[i] for i in batch], device=self.model.device)

    def trained_parameters(self) -> dict[str, torch.Tensor]:
        """Return the model's weights that the task vector changes; of the embedding, the compact rows."""
        names = {*self._task_vector.dense, *self._task_vector.rows}
        return {n: p.detach() for n, p in self.model.named_parameters() if n in names}

    def task_vector_like(self, values: dict[str, torch.Tensor]) -> TaskVector:
        """Return values per parameter in a task vector's form: of the embedding, the rows that training changed."""
        embedding = embedding_name(self.model)
        vector = TaskVector({}, {})
        for name, value in values.items():
            if name == embedding and name in self._task_vector.rows:
                keep = np.isin(self.vocabulary.ids, self._task_vector.rows[name][0].numpy())
                vector.rows[name] = (torch.from_numpy(self.vocabulary.ids[keep]), value.cpu()[torch.from_numpy(keep)])
            else:
                vector.dense[name] = value.cpu().contiguous()
        return vector


def measure(inputs: Mapping[str, Any], settings: Mapping[str, Any], threads: int) -> tuple[TaskVector, dict[str, Any]]:
    """Measure one model on one locale's sentences.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``model``, ``table``, each with its digest file.
    settings : mapping
        ``measurement``, ``parameters``, ``locale``, ``seed``, ``text``, ``split``, ``max_length``.
    threads : int

    Returns
    -------
    TaskVector
        The values, in a task vector's form.
    dict
        What goes into their file beside them.
    """
    torch.set_num_threads(threads)
    base = verify_base(inputs["base"], inputs["base_digest"])
    table = read_examples(inputs["table"], inputs["table_digest"])
    subject_of = {key: settings[key] for key in ("measurement", "locale", "seed", "text", "split")}
    subject = ModelText(
        inputs["base"],
        load_task_vector(inputs["model"], base, inputs["model_digest"]),
        table["text"].tolist(),
        table["label"].tolist(),
        settings["max_length"],
        derive_seed("statistic", *subject_of.values()),  # this word draws the sentences: another one would draw others
    )
    values = plugin_function("model measurement", settings["measurement"])(subject, **settings["parameters"])
    return subject.task_vector_like(values), {"base": base, **subject_of}
