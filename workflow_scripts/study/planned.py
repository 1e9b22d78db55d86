"""What jobs get that the selection decides: files and settings, read from the plan once it is there."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from workflow_scripts.core.fingerprint import fingerprint
from workflow_scripts.core.registry import resolve
from workflow_scripts.merging.method import methods_in
from workflow_scripts.selection.plan import entry_key
from workflow_scripts.study.needs import Files, Needs, Wildcards
from workflow_scripts.study.slices import Slices, planned_merges, planned_trainings

Key = tuple[Any, ...]


class Planned:
    """What the jobs of one target and seed need and are told, from their wildcards and the plan.

    Parameters
    ----------
    needs : Needs
    plan : callable
        Returns the path of the plan; until the selection has run, it raises what makes Snakemake ask again later.
    """

    def __init__(self, needs: Needs, plan: Callable[[], str]) -> None:
        self.needs, self.study, self.run, self.plan = needs, needs.study, needs.run, plan
        self.codes = {name: self._code(name) for name in needs.methods}

    def _code(self, name: str) -> str:
        """Return the code identity of an experiment's merges: the engine, its method, and those that this one names."""
        method = self.needs.methods[name]
        modules = [resolve("merge method", part) for part in methods_in(method.name, method.settings)]
        return fingerprint("merging.workflow_merge", *modules)

    def merges(self, wildcards: Wildcards) -> Slices:
        """Return the slices of the plan by experiment or baseline; a soup of seeds belongs to the first seed."""
        plan = planned_merges(self.plan())
        names = self.needs.experiments_of(wildcards.target)
        keys = {
            name: entry_key(name, wildcards.target, wildcards.seed) for name in [*names, *self.study.merged_baselines]
        }
        return {name: plan[key] for name, key in keys.items() if name in names or key in plan}

    def models(self, wildcards: Wildcards) -> list[Key]:
        """Return the models that are merged: (locale, seed)."""
        return _models(self.merges(wildcards))

    def model_files(self, template: str) -> Files:
        """Return a function: their files."""
        return lambda w: [template.format(locale=locale, seed=seed) for locale, seed in self.models(w)]

    def measurements(self, wildcards: Wildcards) -> list[Key]:
        """Return what has to be measured on the sources: (measurement, locale, text's locale, split)."""
        return _measurements(self.merges(wildcards))

    def measurement_files(self, template: str) -> Files:
        """Return a function: the files with what was measured."""
        return lambda w: _measured(template, self.measurements(w), w)

    def all_measurements(self, *templates: str) -> list[str]:
        """Return the files with what is measured for any target and seed."""
        jobs = [SimpleNamespace(target=t, seed=s) for t in self.study.targets for s in self.run.seeds]
        return sorted({file for job in jobs for name in templates for file in self.measurement_files(name)(job)})

    def text_files(self, template: str) -> Files:
        """Return a function: the files with the sentences that merges look at while they are made."""
        return lambda w: _read(template, self.merges(w))

    def merge(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the settings of the merges."""
        return self._merge(self.merges(wildcards), wildcards)

    def _merge(self, merges: Slices, wildcards: Wildcards) -> dict[str, Any]:
        return {
            "target": wildcards.target,
            "seed": int(wildcards.seed),
            "models": _models(merges),
            "merges": merges,
            "measurements": _measurements(merges),
            "texts": _texts(merges),
            "codes": {name: self.codes[name] for name in merges},
            "scoring": self.needs.scoring(),
        }

    def trainings(self, wildcards: Wildcards) -> Slices:
        """Return the baselines that are trained, by name."""
        return planned_trainings(self.plan(), wildcards.target, wildcards.seed)

    def candidates(self, wildcards: Wildcards) -> Slices:
        """Return the slices of the merges that a training may start from: which it is, their scores decide."""
        names = {name for training in self.trainings(wildcards).values() for name in training.get("candidates", ())}
        return {name: entry for name, entry in self.merges(wildcards).items() if name in names} if names else {}

    def candidate_scores(self, template: str) -> Files:
        """Return a function: the files of the target's merges, with every seed, if a training starts from one."""
        seeds = self.run.seeds
        return lambda w: [template.format(target=w.target, seed=seed) for seed in seeds if self.candidates(w)]

    def candidate_measurements(self, template: str) -> Files:
        """Return a function: the files with what was measured on the sources of such merges."""
        return lambda w: _measured(template, _measurements(self.candidates(w)), w)

    def candidate_text(self, template: str) -> Files:
        """Return a function: the files with the sentences that such merges look at."""
        return lambda w: _read(template, self.candidates(w))

    def starts(self, wildcards: Wildcards) -> list[Key]:
        """Return the models that they start from, and those that are merged into one to start from: (locale, seed)."""
        starts = (training["start"] for training in self.trainings(wildcards).values())
        return _unique([*(s for s in starts if isinstance(s, list)), *_models(self.candidates(wildcards))])

    def start_files(self, template: str) -> Files:
        """Return a function: the files of these models."""
        return lambda w: [template.format(locale=locale, seed=seed) for locale, seed in self.starts(w)]

    def tables(self, wildcards: Wildcards) -> list[Key]:
        """Return the examples that they train on, and judge by: (locale, split)."""
        trainings = self.trainings(wildcards).values()
        used = {(locale, training["split"]) for training in trainings for locale in training["locales"]}
        return sorted(used | {(locale, "validation") for locale, _ in used})

    def table_files(self, template: str) -> Files:
        """Return a function: the files of these examples."""
        return lambda w: [template.format(locale=locale, split=split) for locale, split in self.tables(w)]

    def baselines(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the settings of the baselines that are trained."""
        return {
            **self._merge(self.candidates(wildcards), wildcards),
            "trainings": self.trainings(wildcards),
            "models": self.starts(wildcards),
            "tables": self.tables(wildcards),
            "finetune": self.run.finetune.model_dump(exclude={"threads", "retries"}),
            "few_shot_steps": self.run.few_shot.steps,
            "cache": self.needs.paths.cache,
            "code": fingerprint("models.together"),
        }


def _models(merges: Slices) -> list[Key]:
    return _unique(model for entry in merges.values() for model in entry["models"])


def _measurements(merges: Slices) -> list[Key]:
    entries = merges.values()
    return _unique(key for entry in entries for keys in entry.get("measurements", {}).values() for key in keys)


def _measured(template: str, measurements: Iterable[Key], wildcards: Wildcards) -> list[str]:
    return [
        template.format(measurement=measurement, locale=locale, seed=wildcards.seed, text=text, split=split)
        for measurement, locale, text, split in measurements
    ]


def _texts(merges: Slices) -> list[Key]:
    """Return the sentences that merges look at while they are made: (locale, split)."""
    return _unique(text for entry in merges.values() for text in entry.get("texts", ()))


def _read(template: str, merges: Slices) -> list[str]:
    return [template.format(locale=locale, split=split) for locale, split in _texts(merges)]


def _unique(keys: Iterable[Iterable[Any]]) -> list[Key]:
    return sorted({tuple(key) for key in keys})
