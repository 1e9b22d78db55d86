"""Trained baselines of one target and seed: each a training from the cache or made, then scored on the test data.

One of them starts from the merge that is chosen on the target's validation data. Merges are not kept, so that it is
made again.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import derive_seed, digest_of, read_digest
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.lookup import Entry
from workflow_scripts.core.messages import warn
from workflow_scripts.evaluation.cells import CellCache, decided_scoring, made_decision, targets_of
from workflow_scripts.evaluation.packs import Scores, read_pack
from workflow_scripts.merging.merge_cells import MergeJob
from workflow_scripts.models.length import length_of
from workflow_scripts.models.train_job import FILES, store, trained_digest
from workflow_scripts.selection.systems import MERGE
from workflow_scripts.selection.trainings import Training

if TYPE_CHECKING:
    import pandas as pd

    from workflow_scripts.models.checkpoints import TaskVector

SPLIT = "test"  # few_shot has no other data to judge by


class TrainedBaselines:
    """The trainings beside the merges of one target and seed.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``; ``models`` and ``model_digests`` in the order of ``settings["models"]``; ``tables``
        and ``table_digests`` in the order of ``settings["tables"]``; the target's example tables; ``precision``: see
        `evaluation.cells`. Where a training starts from a merge: what `merge_cells.MergeJob` reads; ``scored_merges``,
        the target's merges on its validation data, and ``failures``, those that could not be made: a file per seed.
    settings : mapping
        ``target``, ``seed``; ``trainings``: see `selection.trainings`; ``models``: [locale, seed] pairs; ``tables``:
        [locale, split] pairs; ``finetune``: the config's block; ``few_shot_steps``; ``code`` of training; ``cache``;
        ``scoring``: see `evaluation.cells.CellCache`. Where a training starts from a merge: what
        `merge_cells.MergeJob` reads.
    """

    def __init__(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.inputs = inputs
        self.settings = {**settings, "scoring": decided_scoring(settings["scoring"], made_decision(inputs))}
        self.base = read_digest(inputs["base_digest"])
        (self.target,) = targets_of([settings["target"]], inputs)
        self.merges = MergeJob(inputs, settings)

    @cached_property
    def trainings(self) -> dict[str, Training]:
        """The trainings that can be formed; what cannot is said."""
        formed = {}
        for name, training in self.settings["trainings"].items():
            if reason := self._obstacle(training):
                warn(f"{self.target.locale} has no {name}: {reason}")
            else:
                formed[name] = training
        return formed

    def _obstacle(self, training: Training) -> str | None:
        if training["start"] == MERGE and self.chosen is None:
            return "none of the merges that may be chosen could be made"
        if "sentences" not in training:
            return None
        there = self._labelled
        return None if training["sentences"] < there else f"it has only {there} labelled sentences"

    @cached_property
    def _labelled(self) -> int:
        """The number of the target's validation sentences."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self.target.tables["validation"]).num_rows)

    @cached_property
    def chosen(self) -> str | None:
        """The merge that is best on the target's validation data, mean over seeds, ties by name: as for the report."""
        candidates = {
            name for training in self.settings["trainings"].values() for name in training.get("candidates", ())
        }
        failed = {name for path in self.inputs["failures"] for name in read_json(path)["failed"]}
        accuracies = {
            name: float(np.mean([read_pack(path, name).accuracy for path in self.inputs["scored_merges"]]))
            for name in sorted(candidates - failed)
        }
        return max(accuracies, key=accuracies.__getitem__, default=None)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Name of a training → its place in the cache."""
        return {name: self._entry_of(name, training) for name, training in self.trainings.items()}

    def complete(self, threads: int) -> None:
        """Train and score what the cache lacks."""
        for name, training in self.trainings.items():
            entry = self.entries[name]
            with entry.turn():  # another target's job may be at the same training
                if entry.find(_digest) is None:
                    self._train(training, entry, threads)
        missing = [name for name in self.entries if self._cells(name).find(self.target, SPLIT) is None]
        if missing:
            self._score(missing, threads)

    def results(self) -> tuple[dict[str, Scores], dict[str, Any]]:
        """Return each model's test scores and facts, all from the cache."""
        scores = {name: self._cells(name).get(self.target, SPLIT) for name in self.entries}
        facts = {
            name: {
                **training,
                **({"merge": self.chosen} if training["start"] == MERGE else {}),
                **(
                    {"sentences": training.get("sentences", self._labelled)} if training["length"] == "few_shot" else {}
                ),
                "model": trained_digest(self.entries[name]),
                "history": read_json(self.entries[name].path / FILES["training"]),
            }
            for name, training in self.trainings.items()
        }
        return scores, facts

    def _entry_of(self, name: str, training: Training) -> Entry:
        made_of = {
            "base": self.base,
            "start": self._start_digest(training),
            **{
                split: [read_digest(f) for f in files] for split, files in self._data("table_digests", training).items()
            },
            "length": training["length"],
            "sentences": training.get("sentences"),
            "steps": self.settings["few_shot_steps"] if training["length"] == "few_shot" else None,
            "finetune": self.settings["finetune"],
            "seed": self._seed(training),
            "code": self.settings["code"],
        }
        return Entry(self.settings["cache"], "models", made_of, name)

    def _seed(self, training: Training) -> int:
        return derive_seed("baseline", *training["locales"], training["split"], self.settings["seed"])

    def _start_digest(self, training: Training) -> str | None:
        """Return the digest of the model that a training starts from, or the identity of the merge."""
        if training["start"] == MERGE:
            return self.merges.identities[str(self.chosen)]
        start = self._model("model_digests", training)
        return start and read_digest(start)

    def _model(self, key: str, training: Training) -> str | None:
        """Return the input that belongs to the locale's model that a training starts from."""
        places = by_wildcards(self.inputs[key], map(tuple, self.settings["models"]))
        return training["start"] and places[tuple(training["start"])]

    @contextlib.contextmanager
    def _start(self, training: Training) -> "Iterator[TaskVector | None]":
        """Yield the task vector that a training starts from, None for θ₀."""
        from workflow_scripts.models.checkpoints import load_task_vector

        if training["start"] == MERGE:
            with tempfile.TemporaryDirectory() as folder:
                merged = Path(folder) / "merged.safetensors"
                self.merges.merge(str(self.chosen), merged)
                yield load_task_vector(merged, self.base)
            return
        start = self._model("models", training)
        yield load_task_vector(start, self.base, self._model("model_digests", training)) if start else None

    def _data(self, key: str, training: Training) -> dict[str, list[str]]:
        """Return the inputs with a training's data, by what they are for."""
        places = by_wildcards(self.inputs[key], map(tuple, self.settings["tables"]))
        uses = {"train": training["split"]} | ({"validation": "validation"} if training["split"] == "train" else {})
        return {use: [places[locale, split] for locale in training["locales"]] for use, split in uses.items()}

    def _train(self, training: Training, entry: Entry, threads: int) -> None:
        watch = Stopwatch()
        import pandas as pd
        import torch

        from workflow_scripts.data.examples import read_examples
        from workflow_scripts.models.checkpoints import verify_base
        from workflow_scripts.models.together import finetune_on_gpus

        torch.set_num_threads(threads)
        verify_base(self.inputs["base"], self.inputs["base_digest"])
        files, digests = self._data("tables", training), self._data("table_digests", training)
        tables = {use: list(map(read_examples, files[use], digests[use])) for use in files}
        settings, train = self.settings["finetune"], pd.concat(tables["train"], ignore_index=True)
        if "sentences" in training:
            train = drawn(train, training["sentences"], self._seed(training))
        entry.scratch.mkdir(parents=True, exist_ok=True)
        with self._start(training) as start:
            trained = finetune_on_gpus(
                settings,
                entry.scratch,
                base=self.inputs["base"],
                train=train,
                validation=pd.concat(tables["validation"], ignore_index=True) if "validation" in tables else None,
                seed=self._seed(training),
                start=start,
                steps=self._steps(training, tables["train"]),
            )
        store(trained, entry, {"base": self.base, "training": training, "finetune": settings}, watch)

    def _steps(self, training: Training, tables: list[Any]) -> int | None:
        """Return the optimiser steps of a training whose length is not left to its validation data."""
        if training["length"] == "few_shot":
            return int(self.settings["few_shot_steps"])
        return steps_of_one(tables, self.settings["finetune"]) if training["length"] == "one" else None

    def _score(self, names: list[str], threads: int) -> None:
        watch = Stopwatch()
        from workflow_scripts.evaluation.scoring import Scorer
        from workflow_scripts.models.checkpoints import load_task_vector

        scorer = Scorer(self.inputs, [(self.target, SPLIT)], self.settings["scoring"], threads)
        watch.ready()
        for name in names:
            folder = self.entries[name].path
            model = load_task_vector(folder / FILES["model"], self.base, folder / FILES["digest"])
            for (target, split), scores in scorer.scores(model):
                self._cells(name).store(target, split, scores, watch.lap())

    def _cells(self, name: str) -> CellCache:
        return CellCache(self.settings["scoring"], str(trained_digest(self.entries[name])), self.base, name)


def _digest(folder: Path) -> str:
    return read_digest(folder / FILES["digest"])


def drawn(table: "pd.DataFrame", sentences: int, seed: int) -> "pd.DataFrame":
    """Return so many sentences, drawn by cluster: a cluster is taken whole before the next one begins.

    Fewer sentences are always among more (nested), whatever the order of the table: clusters come in an order that
    their names and the seed decide, sentences of a cluster in that of their ids.
    """
    places = {cluster: digest_of([seed, str(cluster)]) for cluster in table["cluster"].unique()}
    ordered = table.assign(place=table["cluster"].map(places)).sort_values(["place", "id"], kind="stable")
    return ordered.drop(columns="place").head(sentences).reset_index(drop=True)


def steps_of_one(tables: list[Any], settings: Mapping[str, Any]) -> int:
    """Return the optimiser steps that are planned for one of several example tables, for their mean length."""
    return length_of(settings, ceil(sum(map(len, tables)) / len(tables))).most
