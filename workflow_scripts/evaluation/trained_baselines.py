"""Trained baselines of one target and seed: each a training from the cache or made, then scored on the test data."""

from collections.abc import Mapping
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import derive_seed, read_digest
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.lookup import Entry
from workflow_scripts.evaluation.cells import CellCache, decided_scoring, made_decision, targets_of
from workflow_scripts.evaluation.packs import Scores
from workflow_scripts.models.length import length_of
from workflow_scripts.models.train_job import FILES, store, trained_digest
from workflow_scripts.selection.trainings import Training

SPLIT = "test"  # few_shot has no other data to judge by


class TrainedBaselines:
    """The trainings beside the merges of one target and seed.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``; ``models`` and ``model_digests`` in the order of ``settings["models"]``; ``tables``
        and ``table_digests`` in the order of ``settings["tables"]``; the target's example tables; ``precision``: see
        `evaluation.cells`.
    settings : mapping
        ``target``, ``seed``; ``trainings``: see `selection.trainings`; ``models``: [locale, seed] pairs; ``tables``:
        [locale, split] pairs; ``finetune``, ``few_shot``: the config's blocks; ``code`` of training; ``cache``;
        ``scoring``: see `evaluation.cells.CellCache`.
    """

    def __init__(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.inputs = inputs
        self.settings = {**settings, "scoring": decided_scoring(settings["scoring"], made_decision(inputs))}
        self.base = read_digest(inputs["base_digest"])
        (self.target,) = targets_of([settings["target"]], inputs)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Name of a training → its place in the cache."""
        return {name: self._entry_of(name, training) for name, training in self.settings["trainings"].items()}

    def complete(self, threads: int) -> None:
        """Train and score what the cache lacks."""
        for name, training in self.settings["trainings"].items():
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
                "model": trained_digest(self.entries[name]),
                "history": read_json(self.entries[name].path / FILES["training"]),
            }
            for name, training in self.settings["trainings"].items()
        }
        return scores, facts

    def _entry_of(self, name: str, training: Training) -> Entry:
        start = self._model("model_digests", training)
        made_of = {
            "base": self.base,
            "start": start and read_digest(start),
            **{
                split: [read_digest(f) for f in files] for split, files in self._data("table_digests", training).items()
            },
            "length": training["length"],
            "few_shot": self.settings["few_shot"] if training["length"] == "few_shot" else None,
            "finetune": self.settings["finetune"],
            "seed": self._seed(training),
            "code": self.settings["code"],
        }
        return Entry(self.settings["cache"], "models", made_of, name)

    def _seed(self, training: Training) -> int:
        return derive_seed("baseline", *training["locales"], training["split"], self.settings["seed"])

    def _model(self, key: str, training: Training) -> str | None:
        """Return the input that belongs to the model that a training starts from."""
        places = by_wildcards(self.inputs[key], map(tuple, self.settings["models"]))
        return training["start"] and places[tuple(training["start"])]

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
        from workflow_scripts.models.checkpoints import load_task_vector, verify_base
        from workflow_scripts.models.together import finetune_on_gpus

        torch.set_num_threads(threads)
        verify_base(self.inputs["base"], self.inputs["base_digest"])
        files, digests = self._data("tables", training), self._data("table_digests", training)
        tables = {use: list(map(read_examples, files[use], digests[use])) for use in files}
        settings = self.settings["finetune"]
        start = self._model("models", training)
        entry.scratch.mkdir(parents=True, exist_ok=True)
        trained = finetune_on_gpus(
            settings,
            entry.scratch,
            base=self.inputs["base"],
            train=pd.concat(tables["train"], ignore_index=True),
            validation=pd.concat(tables["validation"], ignore_index=True) if "validation" in tables else None,
            seed=self._seed(training),
            start=load_task_vector(start, self.base, self._model("model_digests", training)) if start else None,
            steps=self._steps(training, tables["train"]),
        )
        store(trained, entry, {"base": self.base, "training": training, "finetune": settings}, watch)

    def _steps(self, training: Training, tables: list[Any]) -> int | None:
        """Return the optimiser steps of a training whose length is not left to its validation data."""
        if training["length"] == "few_shot":
            return int(self.settings["few_shot"]["steps"])
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


def steps_of_one(tables: list[Any], settings: Mapping[str, Any]) -> int:
    """Return the optimiser steps that are planned for one of several example tables, for their mean length."""
    return length_of(settings, ceil(sum(map(len, tables)) / len(tables))).most
