"""What a merged model is, known before it is made: the digest of everything that shapes it."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from workflow_scripts.core.digests import derive_seed, digest_of, read_digest
from workflow_scripts.merging.method import load_method
from workflow_scripts.selection.systems import SHRUNK_TOP1, name_beside

Slice = Mapping[str, Any]  # a merge slice of the plan


class Identities:
    """The merges of one target and seed: what each is made of.

    Parameters
    ----------
    inputs : mapping
        ``models`` and ``model_digests`` in the order of ``settings["models"]``; ``measurements`` and
        ``measurement_digests`` in the order of ``settings["measurements"]``; ``text_digest``.
    settings : mapping
        ``target``; ``seed``; ``models``: [locale, seed] pairs; ``merges``: experiment → merge slice of the plan;
        ``codes``: experiment → code fingerprint; ``measurements``: what was measured.
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
        if self.adapts(entry):
            shape["seed"] = self.seed
            files["text"] = self.inputs["text_digest"]
        return _identity(shape, files, self.read)

    def _shrunk(self, merge: str | None, entry: Slice) -> str | None:
        return _identity({"shrunk_of": merge}, {"top1": self.top1("model_digests", entry)}, self.read)

    @property
    def seed(self) -> int:
        """Seed of what the merges of this target draw."""
        return derive_seed("merge", self.settings["target"], self.settings["seed"])

    def adapts(self, entry: Slice) -> bool:
        """Return whether a merge's method learns from the target's text."""
        return load_method(entry["method"], entry["parameters"]).adapts

    def of_sources(self, key: str, entry: Slice) -> list[str]:
        """Return a merge's part of the inputs that belong to sources."""
        places = dict(zip(map(tuple, self.settings["models"]), self.inputs[key], strict=True))
        return [places[tuple(model)] for model in entry["models"]]

    def top1(self, key: str, entry: Slice) -> str:
        """Return the input that belongs to the source that the selector ranked first."""
        return self.of_sources(key, entry)[entry["sources"].index(entry["top1"])]

    def measurements(self, key: str, entry: Slice) -> dict[str, list[str]]:
        """Return source → the files with what was measured on it."""
        if "measurements" not in entry:
            return {}
        places = dict(zip(map(tuple, self.settings["measurements"]), self.inputs[key], strict=True))
        return {source: [places[tuple(k)] for k in keys] for source, keys in entry["measurements"].items()}


def _identity(
    shape: Mapping[str, Any], files: Mapping[str, str | Iterable[str]], read: Callable[[str], str | None]
) -> str | None:
    """Return the digest of a shape and of digest files, or None if a digest is missing."""
    contents = {key: [read(f) for f in ([value] if isinstance(value, str) else value)] for key, value in files.items()}
    if None in shape.values() or any(None in digests for digests in contents.values()):
        return None
    return digest_of({**shape, **contents})
