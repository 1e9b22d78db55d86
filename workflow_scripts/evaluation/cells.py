"""Cells of the NxN matrix and their cache.

A cell is what one model says about one locale. The cache is addressed by content: the model's digest, the data's
digest, the evaluation's settings and code. It is private to the jobs that score models; everybody else reads their
outputs.

The number format of forward passes is one for all jobs of a run, a fast one only where predictions stay the same.
float32 needs no decision. For any other setting the rule `precision` tries it out once per run, and its decision is an
input of every job that scores models.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow_scripts.core.costs import Cost, Stopwatch, total
from workflow_scripts.core.digests import digest_of, read_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.evaluation.packs import SPLITS, Packs, Scores, read_note, read_pack, write_pack

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


@dataclass(frozen=True)
class CellCache:
    """Scores by content.

    Parameters
    ----------
    folder : path
    model : str
        Content digest of the model (θ₀ and task vector).
    settings : dict
        Everything else that shapes scores: evaluation settings and code.
    """

    folder: Path
    model: str
    settings: dict[str, Any]

    def find(self, target: Target, split: str) -> Scores | None:
        """Return cached scores, or None; a damaged entry is reported and dropped."""
        path = self._path(target.digests[split])
        if not path.exists():
            return None
        try:
            return read_pack(path, "cell")
        except XlmergeError as error:
            print(f"xlmerge: dropping a damaged cell: {error}", file=sys.stderr)
            path.unlink(missing_ok=True)
            return None

    def get(self, target: Target, split: str) -> Scores:
        """Return cached scores that are known to be there."""
        return read_pack(self._path(target.digests[split]), "cell")

    def store(self, target: Target, split: str, scores: Scores, cost: Cost) -> None:
        """Add scores, and what computing them took, to the cache."""
        write_pack(self._path(target.digests[split]), {"cell": scores}, cost=cost)

    def making_cost(self, targets: list[Target], splits: Sequence[str] = SPLITS) -> Cost:
        """Return what computing the cells of `targets`, which are all there, took."""
        paths = (self._path(target.digests[split]) for target, split in _cells(targets, splits))
        return total(read_note(path, "cost") or {} for path in paths)

    def lacks(self, data: str) -> bool:
        """Tell whether there are no scores for data of this digest; damage is not looked for."""
        return not self._path(data).exists()

    def entries(self, targets: list[Target], splits: Sequence[str] = SPLITS) -> list[str]:
        """Return the names of the cache files that hold the cells of `targets`."""
        return [self._path(target.digests[split]).name for target, split in _cells(targets, splits)]

    def _path(self, data: str) -> Path:
        key = digest_of({"model": self.model, "data": data, "settings": self.settings})
        return self.folder / key[:2] / f"{key}.safetensors"


def cell_cache(scoring: Mapping[str, Any], model: str, base: str) -> CellCache:
    """Return the cache of one model's cells.

    Parameters
    ----------
    scoring : mapping
        ``evaluation`` settings, scoring ``code``, and the folder ``cache``.
    model, base : str
        Content digests of the task vector and of θ₀.
    """
    shape = {"evaluation": scoring["evaluation"], "code": scoring["code"], "base": base}
    return CellCache(Path(scoring["cache"]), model, shape)


Cell = tuple[Target, str]
Scorer = Callable[[list[Cell]], Iterable[tuple[Cell, Scores]]]


def cached_scores(cache: CellCache, targets: list[Target], score: Scorer) -> tuple[Packs, list[str]]:
    """Return all scores, computing only what the cache lacks; each is stored as soon as it is known.

    Parameters
    ----------
    cache : CellCache
    targets : list of Target
    score : callable
        Given the missing (target, split) pairs, yields each with its scores. Not called if none is missing.

    Returns
    -------
    packs : dict
    computed : list of str
        Locales of the cells that had to be computed, in the order of `targets`.
    """
    packs: Packs = {split: {} for split in SPLITS}
    missing = []
    for target, split in _cells(targets):
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
    return packs, list(dict.fromkeys(target.locale for target, _ in missing))


def _cells(targets: list[Target], splits: Sequence[str] = SPLITS) -> Iterator[Cell]:
    return ((target, split) for target in targets for split in splits)


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
    """Return the settings of scoring (see `cell_cache`) with the number format that the run uses."""
    return {**scoring, "evaluation": {**scoring["evaluation"], "precision": made["mode"]}}
