"""Merges as cells: a merged model is a model whose content is known before it is made.

Its identity is the digest of method, parameters, sources' digests and weights, and code. So merges that coincide
between experiments are made once, and a rerun makes only those whose identity is new.
"""

import json
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.digests import digest_of, read_digest
from workflow_scripts.core.seeds import derive_seed
from workflow_scripts.evaluation.cells import SPLITS, CellCache, Packs, cell_cache, targets_of
from workflow_scripts.merging.method import load_method
from workflow_scripts.selection.baselines import shrunk_name


class MergeJob:
    """The merges of one target and seed.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``; ``models`` and ``model_digests`` in the order of ``settings["models"]``;
        ``statistics`` and ``statistic_digests`` in the order of ``settings["statistics"]``; the target's example
        tables; ``text`` and ``text_digest``: its training table, if a merge adapts to it.
    settings : mapping
        ``target``; ``seed``; ``models``: [locale, seed] pairs; ``merges``: experiment → merge slice of the plan;
        ``codes``: experiment → code fingerprint; ``statistics``: what was measured; ``scoring``: see
        `evaluation.cells.cell_cache`.
    """

    def __init__(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.inputs, self.settings = inputs, settings
        self.base = read_digest(inputs["base_digest"])
        (self.target,) = targets_of([settings["target"]], inputs)

    @cached_property
    def identities(self) -> dict[str, str]:
        """Name of a merge, or of a baseline made from one → identity of its model."""
        merges = {name: digest_of(self._made_of(name)) for name in self.settings["merges"]}
        first = {
            name: read_digest(self._top1("model_digests", entry))
            for name, entry in self.settings["merges"].items()
            if "top1" in entry
        }
        shrunk = {shrunk_name(n): digest_of({"shrunk_of": merges[n], "top1": top1}) for n, top1 in first.items()}
        return {**merges, **shrunk}

    def _made_of(self, name: str) -> dict[str, Any]:
        """Return everything that shapes an experiment's merged model."""
        entry = self.settings["merges"][name]
        made_of = {
            **{key: entry[key] for key in ("method", "parameters", "weights")},
            "models": [read_digest(path) for path in self._of_sources("model_digests", entry)],
            "code": self.settings["codes"][name],
        }
        if "groups" in entry:
            made_of["groups"] = entry["groups"]
        if "statistics" in entry:
            files = self._statistics("statistic_digests", entry)
            made_of["statistics"] = {source: [read_digest(f) for f in files[source]] for source in files}
        if self._adapts(entry):
            made_of["adaptation"] = {"text": read_digest(self.inputs["text_digest"][0]), "seed": self._seed()}
        return made_of

    def _of_sources(self, key: str, entry: Mapping[str, Any]) -> list[str]:
        """Return a merge's part of the job's inputs that belong to sources."""
        places = dict(zip(map(tuple, self.settings["models"]), self.inputs[key], strict=True))
        return [places[tuple(model)] for model in entry["models"]]

    def _top1(self, key: str, entry: Mapping[str, Any]) -> str:
        """Return the input that belongs to the source that the selector ranked first."""
        return self._of_sources(key, entry)[entry["sources"].index(entry["top1"])]

    def _statistics(self, key: str, entry: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return source → the files with what was measured on it."""
        if "statistics" not in entry:
            return {}
        places = dict(zip(map(tuple, self.settings["statistics"]), self.inputs[key], strict=True))
        return {source: [places[tuple(k)] for k in keys] for source, keys in entry["statistics"].items()}

    def _adapts(self, entry: Mapping[str, Any]) -> bool:
        return load_method(entry["method"], entry["parameters"]).adapts

    def _seed(self) -> int:
        return derive_seed("merge", self.settings["target"], self.settings["seed"])

    def complete(self, threads: int) -> list[str]:
        """Make and score the merges that the cache lacks; return the experiments that needed one."""
        missing = {i: name for name, i in reversed(self.identities.items()) if not self._cached(i)}
        if missing:
            from workflow_scripts.evaluation.score_checkpoint import make_scorer

            cells = [(self.target, split) for split in SPLITS]
            scorer = make_scorer(self.inputs, cells, self.settings["scoring"]["evaluation"], threads)
            for identity, name in reversed(missing.items()):  # a shrunk source comes after its merge
                self._make(identity, name, scorer)
        return sorted(missing.values())

    def results(self) -> tuple[Packs, dict[str, Any]]:
        """Return the scores (split → experiment → scores) and each merge's facts, all from the cache."""
        packs: Packs = {
            split: {name: self._cache(i).get(self.target, split) for name, i in self.identities.items()}
            for split in SPLITS
        }
        facts = {
            name: {"identity": i, **json.loads(self._facts(i).read_text(encoding="utf-8"))}
            for name, i in self.identities.items()
        }
        return packs, facts

    def cache_entries(self) -> list[str]:
        """Return the names of the cache files that the results are read from."""
        identities = list(dict.fromkeys(self.identities.values()))
        scores = [entry for i in identities for entry in self._cache(i).entries([self.target])]
        return scores + [self._facts(i).name for i in identities]

    def _make(self, identity: str, name: str, scorer: Any) -> None:
        from workflow_scripts.models.checkpoints import load_task_vector

        with tempfile.TemporaryDirectory() as folder:
            merged = Path(folder) / "merged.safetensors"
            facts = self._merge(name, merged) if name in self.settings["merges"] else self._shrink(name, merged)
            for (target, split), scores in scorer.scores(load_task_vector(merged, self.base)):
                self._cache(identity).store(target, split, scores)
        write_json(self._facts(identity), facts)

    def _merge(self, name: str, out: Path) -> dict[str, Any]:
        """Write an experiment's merged task vector; return its facts."""
        from workflow_scripts.merging.workflow_merge import merge_models

        entry = self.settings["merges"][name]
        keys = ("models", "model_digests")
        inputs = {**self.inputs, **{key: self._of_sources(key, entry) for key in keys}}
        for key in ("statistics", "statistic_digests"):
            inputs[key] = self._statistics(key, entry)
        adapted = self._adapt(inputs, entry) if self._adapts(entry) else {}
        facts = merge_models(inputs, entry, self.base, out, adapted.get("coefficients"))
        return {**facts, **({"adaptation": adapted} if adapted else {})}

    def _shrink(self, name: str, out: Path) -> dict[str, Any]:
        """Write the first source's task vector, as long as the merged one is; return its facts."""
        from workflow_scripts.merging.workflow_merge import shrink_model

        parent = next(n for n in self.settings["merges"] if shrunk_name(n) == name)
        entry = self.settings["merges"][parent]
        merged = json.loads(self._facts(self.identities[parent]).read_text(encoding="utf-8"))
        inputs = {key: [self._top1(key, entry)] for key in ("models", "model_digests")}
        return shrink_model({**inputs, "base": self.inputs["base"]}, self.base, merged, out)

    def _adapt(self, inputs: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
        from workflow_scripts.merging.adaptation import adapt_to_target

        max_length = self.settings["scoring"]["evaluation"]["max_length"]
        return adapt_to_target(inputs, entry, self.base, max_length, self._seed())

    def _cached(self, identity: str) -> bool:
        scores = [self._cache(identity).find(self.target, split) for split in SPLITS]
        return all(s is not None for s in scores) and self._facts(identity).exists()

    def _cache(self, identity: str) -> CellCache:
        return cell_cache(self.settings["scoring"], identity, self.base)

    def _facts(self, identity: str) -> Path:
        return Path(self.settings["scoring"]["cache"]).parent / "merges" / f"{identity}.json"
