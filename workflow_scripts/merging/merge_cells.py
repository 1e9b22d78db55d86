"""Merges as cells: a merged model is a model whose content is known before it is made (see `identities`).

So merges that coincide between experiments are made once, and a rerun makes only those whose identity is new.
"""

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import read_json, write_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.lookup import Entry
from workflow_scripts.evaluation.cells import CellCache, decided_scoring, made_decision, targets_of
from workflow_scripts.evaluation.packs import SPLITS, Packs
from workflow_scripts.merging.identities import Identities
from workflow_scripts.merging.method import load_method
from workflow_scripts.selection.systems import SHRUNK_TOP1, name_beside


class MergeJob:
    """The merges of one target and seed.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``; what `Identities` reads; the target's example tables; ``text`` and ``text_digest``:
        its training table, if a merge adapts to it; ``precision``: see `evaluation.cells`.
    settings : mapping
        What `Identities` reads, and ``scoring``: see `evaluation.cells.CellCache`.
    """

    def __init__(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.precision = made_decision(inputs)
        self.inputs = inputs
        self.settings = {**settings, "scoring": decided_scoring(settings["scoring"], self.precision)}
        self.base = read_digest(inputs["base_digest"])
        self.made_of = Identities(inputs, settings)
        (self.target,) = targets_of([settings["target"]], inputs)

    @cached_property
    def identities(self) -> dict[str, str]:
        """Name of a merge, or of a baseline made from one → identity of its model."""
        return {name: identity for name, identity in self.made_of.all.items() if identity is not None}

    def complete(self, threads: int) -> None:
        """Make and score the merges that the cache lacks."""
        watch = Stopwatch()
        missing = {i: name for name, i in reversed(self.identities.items()) if not self._cached(i)}
        if missing:
            from workflow_scripts.evaluation.scoring import Scorer

            cells = [(self.target, split) for split in SPLITS]
            scorer = Scorer(self.inputs, cells, self.settings["scoring"], threads)
            watch.ready()
            for identity, name in reversed(missing.items()):  # a shrunk source comes after its merge
                self._make(identity, name, scorer, watch)

    def results(self) -> tuple[Packs, dict[str, Any]]:
        """Return the scores (split → experiment → scores) and each merge's facts, all from the cache."""
        packs: Packs = {
            split: {name: self._cells(i).get(self.target, split) for name, i in self.identities.items()}
            for split in SPLITS
        }
        facts = {name: {"identity": i, **self._facts(i).get(read_json)} for name, i in self.identities.items()}
        return packs, facts

    def _make(self, identity: str, name: str, scorer: Any, watch: Stopwatch) -> None:
        from workflow_scripts.models.checkpoints import load_task_vector

        with tempfile.TemporaryDirectory() as folder:
            merged = Path(folder) / "merged.safetensors"
            facts = self.merge(name, merged) if name in self.settings["merges"] else self._shrink(name, merged)
            with self._facts(identity, name).stored(watch.lap()) as path:
                write_json(path, facts)
            for (target, split), scores in scorer.scores(load_task_vector(merged, self.base)):
                self._cells(identity, name).store(target, split, scores, watch.lap())

    def merge(self, name: str, out: Path) -> dict[str, Any]:
        """Write an experiment's merged task vector; return its facts."""
        from workflow_scripts.merging.workflow_merge import merge_models

        entry = self.settings["merges"][name]
        inputs = {**self.inputs, **{k: self.made_of.of_sources(k, entry) for k in ("models", "model_digests")}}
        inputs |= {k: self.made_of.measurements(k, entry) for k in ("measurements", "measurement_digests")}
        adapted = self._adapt(inputs, entry) if self.made_of.adapts(entry) else {}
        facts = merge_models(inputs, entry, self.base, out, adapted.get("coefficients"))
        return {**facts, **({"adaptation": adapted} if adapted else {})}

    def _shrink(self, name: str, out: Path) -> dict[str, Any]:
        """Write the first source's task vector, as long as the merged one is; return its facts."""
        from workflow_scripts.merging.workflow_merge import shrink_model

        parent = next(n for n in self.settings["merges"] if name_beside(SHRUNK_TOP1, n) == name)
        entry = self.settings["merges"][parent]
        merged = self._facts(self.identities[parent]).get(read_json)
        inputs = {key: [self.made_of.top1(key, entry)] for key in ("models", "model_digests")}
        return shrink_model({**inputs, "base": self.inputs["base"]}, self.base, merged, out)

    def _adapt(self, inputs: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
        max_length = self.settings["scoring"]["evaluation"]["max_length"]
        method = load_method(entry["method"], entry["parameters"])
        return method.adapt(inputs, entry["weights"], self.base, max_length, self.made_of.seed)

    def _cached(self, identity: str) -> bool:
        scores = [self._cells(identity).find(self.target, split) for split in SPLITS]
        return all(s is not None for s in scores) and self._facts(identity).find(read_json) is not None

    def _cells(self, identity: str, name: str | None = None) -> CellCache:
        return CellCache(self.settings["scoring"], identity, self.base, name)

    def _facts(self, identity: str, name: str | None = None) -> Entry:
        return facts_entry(self.settings["scoring"], identity, name)


def facts_entry(scoring: Mapping[str, Any], identity: str, name: str | None = None) -> Entry:
    """Return the cache's place of the facts of a merge."""
    max_length = scoring["evaluation"]["max_length"]  # of the texts that a merge adapts to
    return Entry(scoring["cache"], "merges", {"merge": identity, "max_length": max_length}, name, ".json")
