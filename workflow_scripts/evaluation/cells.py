"""Cells of the NxN matrix and their cache.

A cell is what one model says about one locale. The cache is addressed by content: the model's digest, the data's
digest, the evaluation's settings and code. It is private to the jobs that score models; everybody else reads their
outputs.

The number format of forward passes is one for all jobs of a run, a fast one only where predictions stay the same.
float32 needs no decision. For any other setting the rule `precision` tries it out once per run, and its decision is an
input of every job that scores models.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow_scripts.core.costs import Cost, Stopwatch
from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.lookup import Entry
from workflow_scripts.evaluation.packs import SPLITS, Packs, Scores, read_pack, save_pack

FLOAT32 = "float32"
Decision = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """The evaluation data of one locale.

    Attributes
    ----------
    locale : str
    tables, digest_files : dict of str to str
        Per split: the example table's path and the path of its digest file.
    """

    locale: str
    tables: dict[str, str]
    digest_files: dict[str, str]

    @cached_property
    def digests(self) -> dict[str, str]:
        """Per split: the table's content digest."""
        return {split: read_digest(path) for split, path in self.digest_files.items()}


def targets_of(locales: list[str], inputs: Mapping[str, list[str]]) -> list[Target]:
    """Return the targets of a job whose inputs ``{split}_tables`` and ``{split}_digests`` follow `locales`."""
    return [
        Target(
            locale,
            {split: inputs[f"{split}_tables"][i] for split in SPLITS},
            {split: inputs[f"{split}_digests"][i] for split in SPLITS},
        )
        for i, locale in enumerate(locales)
    ]


class CellCache:
    """The scores of one model, by content.

    Parameters
    ----------
    scoring : mapping
        ``evaluation`` settings, scoring ``code``, and the cache's folder ``cache``.
    model, base : str
        Content digests of the task vector and of θ₀.
    name : str, optional
        What a job that scores calls the model when it says what it computed; by default, the locales are named.
    """

    def __init__(self, scoring: Mapping[str, Any], model: str, base: str, name: str | None = None) -> None:
        self._scoring, self._model, self._base, self._name = scoring, model, base, name

    def entry(self, data: str, locale: str = "") -> Entry:
        """Return the place of the scores on data of this digest."""
        shape = {"evaluation": self._scoring["evaluation"], "code": self._scoring["code"], "base": self._base}
        made_of = {"model": self._model, "data": data, "settings": shape}
        return Entry(self._scoring["cache"], "cells", made_of, self._name or locale, ".safetensors")

    def find(self, target: Target, split: str) -> Scores | None:
        """Return cached scores, or None; a damaged entry is reported and dropped."""
        token_entry(self._scoring, self._base, target.digests[split]).keep()
        return self.entry(target.digests[split]).find(_read_cell)

    def get(self, target: Target, split: str) -> Scores:
        """Return cached scores that are known to be there."""
        return self.entry(target.digests[split]).get(_read_cell)

    def store(self, target: Target, split: str, scores: Scores, cost: Cost) -> None:
        """Add scores, and what computing them took, to the cache."""
        with self.entry(target.digests[split], target.locale).stored(cost) as path:
            save_pack(path, {"cell": scores})


def _read_cell(path: Path) -> Scores:
    return read_pack(path, "cell")


def token_entry(scoring: Mapping[str, Any], base: str, data: str) -> Entry:
    """Return the place of an example table's token ids, by θ₀'s and the table's digest."""
    made_of = {"base": base, "data": data, "max_length": scoring["evaluation"]["max_length"], "code": scoring["code"]}
    return Entry(scoring["cache"], "tokens", made_of, suffix=".safetensors")


Cell = tuple[Target, str]
ScoreCells = Callable[[list[Cell]], Iterable[tuple[Cell, Scores]]]


def cached_scores(cache: CellCache, targets: list[Target], score: ScoreCells) -> Packs:
    """Return all scores, computing only what the cache lacks; each is stored as soon as it is known.

    Parameters
    ----------
    cache : CellCache
    targets : list of Target
    score : callable
        Given the missing (target, split) pairs, yields each with its scores. Not called if none is missing.
    """
    packs: Packs = {split: {} for split in SPLITS}
    missing = []
    for target, split in ((target, split) for target in targets for split in SPLITS):
        scores = cache.find(target, split)
        if scores is None:
            missing.append((target, split))
        else:
            packs[split][target.locale] = scores
    if missing:
        watch = Stopwatch()
        scored = score(missing)
        watch.ready()
        for (target, split), scores in scored:
            cache.store(target, split, scores, watch.lap())
            packs[split][target.locale] = scores
    return packs


def made_decision(inputs: Mapping[str, Any]) -> Decision:
    """Return what the run's rule `precision` decided.

    Parameters
    ----------
    inputs : mapping
        ``precision``: no file in a run that uses float32, else the file with the decision.
    """
    made = foreseen_decision(inputs, lambda path: Path(path).read_text(encoding="utf-8"))
    assert made is not None
    return made


def foreseen_decision(inputs: Mapping[str, Any], read: Callable[[str], str | None]) -> Decision | None:
    """Return the same, or None if `read` (path → content) knows no content, since the file has yet to be made."""
    files = inputs.get("precision")
    if not files:
        return {"mode": FLOAT32}
    text = read(files if isinstance(files, str) else files[0])
    return None if text is None else dict(json.loads(text))


def decided_scoring(scoring: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of scoring (see `CellCache`) with the number format that the run uses."""
    return {**scoring, "evaluation": {**scoring["evaluation"], "precision": made["mode"]}}
