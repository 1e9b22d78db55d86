"""Scoring models on locales: tokenise and cut the vocabulary once, then put weights in and predict."""

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from transformers import AutoTokenizer, PreTrainedModel

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.lookup import Entry
from workflow_scripts.data.examples import read_examples
from workflow_scripts.evaluation.cells import FLOAT32, Cell, token_entry
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.models.checkpoints import TaskVector, set_task_vector, verify_base
from workflow_scripts.models.predict import States, frozen_layers, on_states, predict, states_of
from workflow_scripts.models.tokens import Tokens, of_tokens


class Scorer:
    """θ₀ on a compact vocabulary, ready to score task vectors on some cells; everything that it loads is verified.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``: θ₀'s folder and its digest file.
    wanted : list of (Target, split)
    scoring : mapping
        See `cells.CellCache`; its number format is decided.
    threads : int
    """

    def __init__(self, inputs: Mapping[str, Any], wanted: list[Cell], scoring: Mapping[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        self.base, self.wanted, settings = inputs["base"], wanted, scoring["evaluation"]
        self.batch_tokens, self.precision = settings["batch_tokens"], settings.get("precision", FLOAT32)
        digest = verify_base(self.base, inputs["base_digest"])
        tables = [read_examples(target.tables[split], target.digest_files[split]) for target, split in wanted]
        data = [target.digests[split] for target, split in wanted]
        texts = {key: table["text"].tolist for key, table in zip(data, tables, strict=True)}
        tokens = TokenCache(scoring, self.base, digest).get(texts)
        compact = of_tokens(self.base, [tokens[key] for key in data])
        self.model, self.vocabulary, self.encoded = compact.model, compact.vocabulary, compact.encoded
        self.states = StatesCache(scoring, digest, dict(zip(data, self.encoded, strict=True)))
        self.labels = [table["label"].to_numpy() for table in tables]

    def scores(self, task_vector: TaskVector) -> Iterator[tuple[Cell, Scores]]:
        """Yield the scores of θ₀ + τ on every wanted cell."""
        set_task_vector(self.model, self.base, self.vocabulary, task_vector)
        layers = frozen_layers(task_vector, self.model)
        for cell, encoded, labels in zip(self.wanted, self.encoded, self.labels, strict=True):
            yield cell, Scores.of(self._logits(layers, cell, encoded), labels)

    def _logits(self, layers: int, cell: Cell, encoded: list[list[int]]) -> np.ndarray:
        """Return a cell's logits; layers that are as in θ₀ are not computed again."""
        if not layers or not encoded:
            return predict(self.model, encoded, self.batch_tokens, self.precision)
        target, split = cell
        states = self.states.get(self.model, layers, target.digests[split])
        with on_states(self.model, layers, [states]) as ((numbered,), _):
            return predict(self.model, numbered, self.batch_tokens, self.precision)


class TokenCache:
    """Tokenised example tables by content: what one job of a run has tokenised, no other does again.

    Parameters
    ----------
    scoring : mapping
        See `cells.CellCache`.
    base : path
        θ₀'s folder, whose tokenizer is loaded only if a table is not in the cache.
    digest : str
        θ₀'s digest.
    """

    def __init__(self, scoring: Mapping[str, Any], base: str | Path, digest: str) -> None:
        self.scoring, self.base, self.digest = scoring, base, digest

    def get(self, texts: Mapping[str, Callable[[], Sequence[str]]]) -> dict[str, Tokens]:
        """Return the tokens of tables.

        Jobs that start together go through the tables in different orders, and so share the work.

        Parameters
        ----------
        texts : mapping
            A table's digest → what returns its texts.
        """
        order = list(texts)
        random.Random(os.getpid()).shuffle(order)
        return {data: self._find_or_make(data, texts[data]) for data in order}

    @cached_property
    def tokenizer(self) -> Any:
        """θ₀'s tokenizer."""
        return AutoTokenizer.from_pretrained(self.base)

    def _find_or_make(self, data: str, texts: Callable[[], Sequence[str]]) -> Tokens:
        entry = token_entry(self.scoring, self.digest, data)
        tokens = entry.find(_read_tokens)
        if tokens is None:
            tokens = Tokens.of(self.tokenizer, texts(), self.scoring["evaluation"]["max_length"])
            with entry.stored({}) as path:  # what that took is part of getting ready to score
                _save_tokens(path, tokens)
        return tokens


class StatesCache:
    """What θ₀'s lowest layers make of tables, by content: models that leave these layers alone share it.

    States are float32 in every number format of the passes above, so that they are made once.

    Parameters
    ----------
    scoring : mapping
        See `cells.CellCache`.
    base : str
        θ₀'s digest.
    tables : mapping
        A table's digest → its texts as token ids of the model's vocabulary.
    """

    def __init__(self, scoring: Mapping[str, Any], base: str, tables: Mapping[str, Sequence[Sequence[int]]]) -> None:
        self._scoring, self._base, self._tables = scoring, base, tables
        self._complete: set[int] = set()

    def get(self, model: PreTrainedModel, layers: int, data: str) -> States:
        """Return a table's states behind so many layers, which the model must have as they are in θ₀.

        Whoever needs one needs all of them soon: what is missing is made at once, in an order of each process's own, so
        that jobs that start together share the work.
        """
        if layers not in self._complete:
            order = list(self._tables)
            random.Random(os.getpid()).shuffle(order)
            for table in order:
                if not self._entry(layers, table).exists():
                    self._find_or_make(model, layers, table)
            self._complete.add(layers)
        return self._find_or_make(model, layers, data)

    def _find_or_make(self, model: PreTrainedModel, layers: int, data: str) -> States:
        entry = self._entry(layers, data)
        states = entry.find(_read_states)
        if states is None:
            states = states_of(model, layers, self._tables[data], self._scoring["evaluation"]["batch_tokens"])
            with entry.stored({}) as path:  # what that took is part of getting ready to score
                _save_states(path, states)
        return states

    def _entry(self, layers: int, data: str) -> Entry:
        settings = {key: self._scoring["evaluation"][key] for key in ("max_length", "batch_tokens")}
        made_of = {"base": self._base, "data": data, "layers": layers, **settings, "code": self._scoring["code"]}
        return Entry(self._scoring["cache"], "states", made_of, suffix=".safetensors")


def _save_tokens(path: Path, tokens: Tokens) -> None:
    arrays = {"ids": tokens.ids, "lengths": tokens.lengths}
    _save_arrays(path, arrays, {"special": tokens.special, "pad": tokens.pad})


def _read_tokens(path: Path) -> Tokens:
    arrays, note = _read_arrays(path)
    return Tokens(arrays["ids"], arrays["lengths"], tuple(note["special"]), note["pad"])


def _save_states(path: Path, states: States) -> None:
    arrays = {
        "values": np.concatenate([np.zeros((0, states[0].shape[1]), np.float32), *states]),
        "lengths": np.array([len(text) for text in states], np.int32),
    }
    _save_arrays(path, arrays, {})


def _read_states(path: Path) -> States:
    arrays, _ = _read_arrays(path)
    return np.split(arrays["values"], np.cumsum(arrays["lengths"])[:-1])


def _save_arrays(path: Path, arrays: Mapping[str, np.ndarray], note: Mapping[str, Any]) -> None:
    """Write arrays and a note on them, with a digest of both, as one entry: safetensors writes several in any order."""
    text = json.dumps(note)
    save_file(dict(arrays), path, metadata={"about": json.dumps({"note": text, "digest": _digest(arrays, text)})})


def _read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return arrays and their note; raise an `XlmergeError` for a damaged file."""
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads(file.metadata()["about"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text, digest = about["note"], about["digest"]
    except (SafetensorError, OSError, TypeError, KeyError, json.JSONDecodeError) as error:
        raise XlmergeError(f"{path} is damaged ({error})") from None
    if _digest(arrays, text) != digest:
        raise XlmergeError(f"{path} is damaged: it does not match its digest")
    return arrays, dict(json.loads(text))


def _digest(arrays: Mapping[str, np.ndarray], note: str) -> str:
    total = xxhash.xxh3_128(note.encode())
    for name, values in sorted(arrays.items()):
        total.update(f"{name} {values.shape}".encode())
        total.update(np.ascontiguousarray(values).tobytes())
    return total.hexdigest()
