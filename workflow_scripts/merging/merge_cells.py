"""Merges as cells: a merged model is known before it is made, by the digest of everything that shapes it.

So merges that coincide between experiments are made once, and a rerun makes only those whose identity is new. A merge
that cannot be made does not cost the others: why is kept beside their scores, and what follows goes without it.
"""

import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow_scripts.core.atomic import read_json, write_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import derive_seed, digest_of, read_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.lookup import Entry
from workflow_scripts.core.messages import warn
from workflow_scripts.core.words import first_of
from workflow_scripts.evaluation.cells import CellCache, decided_scoring, made_decision, targets_of
from workflow_scripts.evaluation.packs import SPLITS, Packs
from workflow_scripts.merging.method import load_method
from workflow_scripts.selection.systems import SHRUNK_TOP1, is_system, name_beside

Slice = Mapping[str, Any]  # a merge slice of the plan
# What a merge itself may raise; without memory or room on the disk the whole job ends, and is simply run again.
BROKEN = (XlmergeError, ArithmeticError, LookupError, TypeError, ValueError)
NAMED = 5  # so many merges are named that fail for one reason


class Identities:
    """The merges of one target and seed: what each is made of.

    Parameters
    ----------
    inputs : mapping
        ``models`` and ``model_digests`` in the order of ``settings["models"]``; ``measurements`` and
        ``measurement_digests`` in the order of ``settings["measurements"]``; ``text_digest`` in the order of
        ``settings["texts"]``.
    settings : mapping
        ``target``; ``seed``; ``models``: [locale, seed] pairs; ``merges``: experiment → merge slice of the plan;
        ``codes``: experiment → code fingerprint; ``measurements``: what was measured; ``texts``: [locale, split] of the
        sentences that merges look at.
    read : callable
        Digest file → digest, or None where it is not known yet.
    """

    def __init__(
        self, inputs: Mapping[str, Any], settings: Mapping[str, Any], read: Callable[[str], str | None] = read_digest
    ) -> None:
        self.inputs, self.settings, self.read = inputs, settings, read

    @cached_property
    def all(self) -> dict[str, str | None]:
        """Name of a merge, or of a baseline made from one → identity; None where something is not known yet."""
        merges = {name: self._merge(name, entry) for name, entry in self.settings["merges"].items()}
        wanted = {name: entry for name, entry in self.settings["merges"].items() if "top1" in entry}
        shrunk = {name_beside(SHRUNK_TOP1, name): self._shrunk(merges[name], entry) for name, entry in wanted.items()}
        return {**merges, **shrunk}

    def _merge(self, name: str, entry: Slice) -> str | None:
        shape = {key: entry[key] for key in ("method", "parameters", "weights")}
        shape["code"] = self.settings["codes"][name]
        files: dict[str, Any] = {"models": self.of_sources("model_digests", entry)}
        if "groups" in entry:
            shape["groups"] = entry["groups"]
        if "measurements" in entry:
            files |= {f"measurements of {s}": f for s, f in self.measurements("measurement_digests", entry).items()}
        if "texts" in entry:
            shape["seed"] = self.seed
            files["text"] = self.texts("text_digest", entry)
        return _identity(shape, files, self.read)

    def _shrunk(self, merge: str | None, entry: Slice) -> str | None:
        return _identity({"shrunk_of": merge}, {"top1": self.top1("model_digests", entry)}, self.read)

    @property
    def seed(self) -> int:
        """Seed of what the merges of this target draw."""
        return derive_seed("merge", self.settings["target"], self.settings["seed"])

    def of_sources(self, key: str, entry: Slice) -> list[str]:
        """Return a merge's part of the inputs that belong to sources."""
        places = by_wildcards(self.inputs[key], map(tuple, self.settings["models"]))
        return [places[tuple(model)] for model in entry["models"]]

    def top1(self, key: str, entry: Slice) -> str:
        """Return the input that belongs to the source that the selector ranked first."""
        return self.of_sources(key, entry)[entry["sources"].index(entry["top1"])]

    def texts(self, key: str, entry: Slice) -> list[str]:
        """Return a merge's part of the inputs that hold sentences."""
        if "texts" not in entry:
            return []
        places = by_wildcards(self.inputs[key], map(tuple, self.settings["texts"]))
        return [places[tuple(text)] for text in entry["texts"]]

    def measurements(self, key: str, entry: Slice) -> dict[str, list[str]]:
        """Return source → the files with what was measured on it."""
        if "measurements" not in entry:
            return {}
        places = by_wildcards(self.inputs[key], map(tuple, self.settings["measurements"]))
        return {source: [places[tuple(k)] for k in keys] for source, keys in entry["measurements"].items()}


def _identity(
    shape: Mapping[str, Any], files: Mapping[str, str | Iterable[str]], read: Callable[[str], str | None]
) -> str | None:
    """Return the digest of a shape and of digest files, or None if a digest is missing."""
    contents = {key: [read(f) for f in ([value] if isinstance(value, str) else value)] for key, value in files.items()}
    if None in shape.values() or any(None in digests for digests in contents.values()):
        return None
    return digest_of({**shape, **contents})


class MergeJob:
    """The merges of one target and seed.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``base_digest``; what `Identities` reads; the target's example tables; ``text`` and ``text_digest``:
        tables with the sentences that merges look at; ``precision``: see `evaluation.cells`.
    settings : mapping
        What `Identities` reads, and ``scoring``: see `evaluation.cells.CellCache`.

    Attributes
    ----------
    failures : dict of str to str
        Name of a merge that could not be made → why.
    missing : set of str
        The same names, and those of the baselines that would be made from such merges.
    """

    def __init__(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.precision = made_decision(inputs)
        self.inputs = inputs
        self.settings = {**settings, "scoring": decided_scoring(settings["scoring"], self.precision)}
        self.base = read_digest(inputs["base_digest"])
        self.made_of = Identities(inputs, settings)
        (self.target,) = targets_of([settings["target"]], inputs)
        self.failures: dict[str, str] = {}
        self.missing: set[str] = set()

    @cached_property
    def identities(self) -> dict[str, str]:
        """Name of a merge, or of a baseline made from one → identity of its model."""
        return {name: identity for name, identity in self.made_of.all.items() if identity is not None}

    def complete(self, threads: int) -> None:
        """Make and score the merges that the cache lacks.

        Raises
        ------
        XlmergeError
            If no experiment is left.
        """
        watch = Stopwatch()
        new = {i: name for name, i in reversed(self.identities.items()) if not self._cached(i)}
        if new:
            from workflow_scripts.evaluation.scoring import Scorer

            cells = [(self.target, split) for split in SPLITS]
            scorer = Scorer(self.inputs, cells, self.settings["scoring"], threads)
            watch.ready()
            for identity, name in reversed(new.items()):  # a shrunk source comes after its merge
                try:
                    if self._parent(name) in self.missing:
                        self.missing |= self._names_of(identity)
                    else:
                        self._make(identity, name, scorer, watch)
                except BROKEN as error:
                    self._note_failure(identity, error)
        experiments = [name for name in self.settings["merges"] if not is_system(name)]
        if experiments and self.failures.keys() >= set(experiments):
            raise XlmergeError(f"no merge for {self.target.locale} can be made; {list_failures(self.failures)}")

    def _note_failure(self, identity: str, error: Exception) -> None:
        """Keep why all merges of an identity are missing."""
        reason = str(error)
        if not isinstance(error, XlmergeError):
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error} (the details are in the merge job's log)"
        failed = dict.fromkeys(sorted(self._names_of(identity)), reason)
        warn(f"the others are made without a merge for {self.target.locale}: {list_failures(failed)}")
        self.failures |= failed
        self.missing |= failed.keys()

    def _names_of(self, identity: str) -> set[str]:
        """Return the merges that have an identity."""
        return {name for name, other in self.identities.items() if other == identity}

    def _parent(self, name: str) -> str | None:
        """Return the merge that a baseline is made from."""
        return next((n for n in self.settings["merges"] if name_beside(SHRUNK_TOP1, n) == name), None)

    def results(self) -> tuple[Packs, dict[str, Any]]:
        """Return the scores (split → experiment → scores) and the facts of what could be made, all from the cache."""
        made = {name: identity for name, identity in self.identities.items() if name not in self.missing}
        packs: Packs = {
            split: {name: self._cells(i).get(self.target, split) for name, i in made.items()} for split in SPLITS
        }
        facts = {name: {"identity": i, **self._facts(i).get(read_json)} for name, i in made.items()}
        return packs, facts

    def digests(self, name: str) -> dict[str, str]:
        """Return the digests of a merge's sources."""
        entry = self.settings["merges"][name]
        files = self.made_of.of_sources("model_digests", entry)
        return {source: read_digest(file) for source, file in zip(entry["sources"], files, strict=True)}

    def _make(self, identity: str, name: str, scorer: Any, watch: Stopwatch) -> None:
        from workflow_scripts.models.checkpoints import load_task_vector

        with tempfile.TemporaryDirectory() as folder:
            merged = Path(folder) / "merged.safetensors"
            facts = self.merge(name, merged) if name in self.settings["merges"] else self._shrink(name, merged)
            with self._facts(identity, name).stored(watch.lap()) as path:
                write_json(path, facts)
            folds = facts.get("adaptation", {}).get("folds", ())
            others = [(fold["sentences"], self._without(name, fold, scorer, Path(folder))) for fold in folds]
            for (target, split), scores in scorer.scores(load_task_vector(merged, self.base)):
                for sentences, judged in others if split == "validation" else ():
                    scores = scores.replaced(sentences, judged)  # noqa: PLW2901
                self._cells(identity, name).store(target, split, scores, watch.lap())

    def _without(self, name: str, fold: Mapping[str, Any], scorer: Any, folder: Path) -> Any:
        """Return the validation scores of the merge whose coefficients were chosen without a fold."""
        from workflow_scripts.merging.workflow_merge import merge_models
        from workflow_scripts.models.checkpoints import load_task_vector

        entry, out = self.settings["merges"][name], folder / "fold.safetensors"
        merge_models(self._inputs_of(entry), entry, self.base, out, fold["coefficients"])
        scores = {split: scores for (_, split), scores in scorer.scores(load_task_vector(out, self.base))}
        return scores["validation"]

    def merge(self, name: str, out: Path) -> dict[str, Any]:
        """Write an experiment's merged task vector; return its facts."""
        from workflow_scripts.merging.workflow_merge import merge_models

        entry = self.settings["merges"][name]
        inputs = self._inputs_of(entry)
        adapted, measured = self._look_at_texts(inputs, entry, out.parent) if "texts" in entry else ({}, {})
        facts = merge_models(inputs, entry, self.base, out, adapted.get("coefficients"), measured)
        return {**facts, **({"adaptation": adapted} if adapted else {})}

    def _inputs_of(self, entry: Slice) -> dict[str, Any]:
        """Return the inputs with those that belong to a merge's sources in its order."""
        inputs = {**self.inputs, **{k: self.made_of.of_sources(k, entry) for k in ("models", "model_digests")}}
        return inputs | {k: self.made_of.measurements(k, entry) for k in ("measurements", "measurement_digests")}

    def _look_at_texts(
        self, inputs: Mapping[str, Any], entry: Slice, folder: Path
    ) -> tuple[dict[str, Any], dict[str, Path]]:
        """Return what a method learns from the sentences that it looks at, and the files with what it measures."""
        given = {**inputs, **{key: self.made_of.texts(key, entry) for key in ("text", "text_digest")}}
        method = load_method(entry["method"], entry["parameters"])
        known = (self.base, self.settings["scoring"]["evaluation"]["max_length"], self.made_of.seed)
        adapted = method.adapt(given, entry["weights"], *known) if method.adapts else {}
        return adapted, method.measure(given, entry, *known, folder)

    def _shrink(self, name: str, out: Path) -> dict[str, Any]:
        """Write the first source's task vector, as long as the merged one is; return its facts."""
        from workflow_scripts.merging.workflow_merge import shrink_model

        parent = self._parent(name)
        assert parent is not None
        entry = self.settings["merges"][parent]
        merged = self._facts(self.identities[parent]).get(read_json)
        inputs = {key: [self.made_of.top1(key, entry)] for key in ("models", "model_digests")}
        return shrink_model({**inputs, "base": self.inputs["base"]}, self.base, merged, out)

    def _cached(self, identity: str) -> bool:
        scores = [self._cells(identity).find(self.target, split) for split in SPLITS]
        return all(s is not None for s in scores) and self._facts(identity).find(read_json) is not None

    def _cells(self, identity: str, name: str | None = None) -> CellCache:
        return CellCache(self.settings["scoring"], identity, self.base, name)

    def _facts(self, identity: str, name: str | None = None) -> Entry:
        return facts_entry(self.settings["scoring"], identity, name)


def list_failures(failures: Mapping[str, str]) -> str:
    """Return what failed and why, what failed for one reason together; of many the first are named."""
    reasons: dict[str, list[str]] = {}
    for name, reason in failures.items():
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{first_of(names, NAMED)}: {reason}" for reason, names in reasons.items())


def facts_entry(scoring: Mapping[str, Any], identity: str, name: str | None = None) -> Entry:
    """Return the cache's place of the facts of a merge."""
    max_length = scoring["evaluation"]["max_length"]  # of the texts that a merge adapts to
    return Entry(scoring["cache"], "merges", {"merge": identity, "max_length": max_length}, name, ".json")
