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
from workflow_scripts.core.costs import Cost, Stopwatch, total
from workflow_scripts.core.digests import digest_of, read_digest
from workflow_scripts.evaluation.cells import SPLITS, CellCache, Packs, cell_cache, targets_of


class MergeJob:
    """The merges of one target and seed.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``; ``models`` and ``model_digests`` in the order of ``settings["sources"]``; the
        target's example tables.
    settings : mapping
        ``target``; ``sources``: locales; ``merges``: experiment → merge slice of the plan; ``codes``: method →
        code fingerprint; ``scoring``: see `evaluation.cells.cell_cache`.
    """

    def __init__(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.inputs, self.settings = inputs, settings
        self.base = read_digest(inputs["base_digest"])
        (self.target,) = targets_of([settings["target"]], inputs)

    @cached_property
    def identities(self) -> dict[str, str]:
        """Experiment → identity of its merged model."""
        places = dict(zip(self.settings["sources"], self.inputs["model_digests"], strict=True))
        digests = {locale: read_digest(path) for locale, path in places.items()}
        return {
            name: merge_identity(entry, [digests[s] for s in entry["sources"]], self.settings["codes"])
            for name, entry in self.settings["merges"].items()
        }

    def complete(self, threads: int) -> list[str]:
        """Make and score the merges that the cache lacks; return the experiments that needed one."""
        missing = {i: name for name, i in reversed(self.identities.items()) if not self._cached(i)}
        if missing:
            watch = Stopwatch()
            from workflow_scripts.evaluation.score_checkpoint import make_scorer

            cells = [(self.target, split) for split in SPLITS]
            scorer = make_scorer(self.inputs, cells, self.settings["scoring"]["evaluation"], threads)
            watch.ready()
            for identity, name in missing.items():
                self._make(identity, name, scorer, watch)
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

    def making_cost(self) -> Cost:
        """Return what making and scoring all the merges took; those that coincide count once."""
        return total(self._cache(i).making_cost([self.target]) for i in set(self.identities.values()))

    def cache_entries(self) -> list[str]:
        """Return the names of the cache files that the results are read from."""
        identities = list(dict.fromkeys(self.identities.values()))
        scores = [entry for i in identities for entry in self._cache(i).entries([self.target])]
        return scores + [self._facts(i).name for i in identities]

    def _make(self, identity: str, name: str, scorer: Any, watch: Stopwatch) -> None:
        from workflow_scripts.merging.workflow_merge import merge_models
        from workflow_scripts.models.checkpoints import load_task_vector

        entry = self.settings["merges"][name]
        chosen = [self.settings["sources"].index(s) for s in entry["sources"]]
        files = {key: [self.inputs[key][i] for i in chosen] for key in ("models", "model_digests")}
        with tempfile.TemporaryDirectory() as folder:
            merged = Path(folder) / "merged.safetensors"
            facts = merge_models({**self.inputs, **files}, entry, self.base, merged)
            for (target, split), scores in scorer.scores(load_task_vector(merged, self.base)):
                self._cache(identity).store(target, split, scores, watch.lap())
        write_json(self._facts(identity), facts)

    def _cached(self, identity: str) -> bool:
        scores = [self._cache(identity).find(self.target, split) for split in SPLITS]
        return all(s is not None for s in scores) and self._facts(identity).exists()

    def _cache(self, identity: str) -> CellCache:
        return cell_cache(self.settings["scoring"], identity, self.base)

    def _facts(self, identity: str) -> Path:
        return facts_path(self.settings["scoring"], identity)


def merge_identity(entry: Mapping[str, Any], models: list[str], codes: Mapping[str, str]) -> str:
    """Return the identity of a merged model.

    Parameters
    ----------
    entry : mapping
        Merge slice of the plan.
    models : list of str
        The sources' digests, in the order of the entry.
    codes : mapping
        Method → code fingerprint.
    """
    return digest_of(
        {
            "method": entry["method"],
            "parameters": entry["parameters"],
            "models": models,
            "weights": entry["weights"],
            "code": codes[entry["method"]],
        }
    )


def facts_path(scoring: Mapping[str, Any], identity: str) -> Path:
    """Return where the cache keeps the facts of a merge."""
    return Path(scoring["cache"]).parent / "merges" / f"{identity}.json"
