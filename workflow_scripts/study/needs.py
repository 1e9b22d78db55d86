"""What jobs get that the config decides: files and settings, worked out from a job's wildcards.

Rules say which files and which slices of the config a job gets; what has to be worked out for that is a method here,
or, where the selection has a say, in `study.planned`. What takes wildcards serves as Snakemake's input and params
functions; settings go out as sorted JSON.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any

from snakemake.io import expand

from workflow_scripts.core.fingerprint import fingerprint
from workflow_scripts.core.registry import load, resolve
from workflow_scripts.evaluation.cells import FLOAT32
from workflow_scripts.merging.method import PIVOT, ROLE, Method, load_method
from workflow_scripts.selection.systems import FEW_SHOT, SCALED_TOP1, SEED_SOUP
from workflow_scripts.study.study import COSINES, Study

Wildcards = Any  # Snakemake's, which have no types
Files = Callable[[Wildcards], list[str]]
CANDIDATES = {False: "exc", True: "inc"}  # is the target a candidate of a greedy search? → in the name of its file


def stable(value: Any) -> str:
    """Return a param as sorted JSON: key order must not look like a change."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def one_of(names: Iterable[Any]) -> str:
    """Return a wildcard's constraint: one of the names; of no name, a pattern that stands in no path."""
    return "|".join(re.escape(str(name)) for name in names) or "none"


class Needs:
    """What the jobs of a study need and are told.

    Parameters
    ----------
    study : Study

    Attributes
    ----------
    methods : dict of str to Method
        Experiment, or baseline that is a merge → its merge method.
    measurements : dict of str to Wanted
        What methods want to know of models, by the name that it has in paths.
    few_shot : bool
        Are there trainings on the targets' validation data?
    trained : list of str
        The targets that have baselines which are trained.
    tuned : list of str
        The file with what tuned systems pick; none without such systems.
    precision : list of str
        The file with the number format of forward passes; none where it needs no decision.
    """

    def __init__(self, study: Study) -> None:
        run = study.run
        self.study, self.run, self.paths = study, run, study.paths
        self.methods: dict[str, Method] = {
            name: load_method(spec.settings["method"], spec.settings["method_parameters"])
            for name, spec in study.experiments.items()
        } | {name: load_method("average", {}) for name in study.merged_baselines}
        wanted = [method.measurement for method in self.methods.values() if method.measurement]
        self.measurements = {measurement.key: measurement for measurement in wanted}
        joint = {target for spec in study.experiments.values() for target in spec.joint}
        self.few_shot = FEW_SHOT in run.baselines
        self.trained = [t for t in study.targets if self.few_shot or t in joint]
        self.tuned = [study.paths.tuned] if study.tuned else []
        self.precision = [] if run.evaluation.precision == FLOAT32 else [study.paths.precision]

    def experiments_of(self, target: str) -> list[str]:
        """Return the experiments that merge for a target."""
        return [name for name, spec in self.study.experiments.items() if target in spec.targets]

    def looked_up(self) -> list[str]:
        """Return the sidecars of jobs that look things up: what the caches are kept for."""
        paths, seeds = self.paths, self.run.seeds
        return [
            *expand([paths.model_info, paths.row_info], locale=self.run.locales, seed=seeds),
            *expand(paths.merge_info, target=self.study.targets, seed=seeds),
            *expand(paths.trained_info, target=self.trained, seed=seeds),
        ]

    def results(self) -> dict[str, Any]:
        """Return what every analysis of a finished run reads, as a rule's inputs."""
        return {
            "evaluations": expand(self.paths.evaluation, target=self.study.targets),
            "plan": self.paths.plan,
            "tuned": self.tuned,
            "matrix": self.paths.matrix_test,
            "matrix_validation": self.paths.matrix_validation,
            "failures": expand(self.paths.merge_failures, target=self.study.targets, seed=self.run.seeds),
        }

    def scoring(self) -> dict[str, Any]:
        """Return what shapes scores besides model and data, and where the cache of cells is."""
        return {
            "evaluation": self.run.evaluation.model_dump(exclude={"threads"}),
            "code": fingerprint("evaluation.scoring"),
            "cache": self.paths.cache,
        }

    # --- similarity

    def reads(self, measure: str) -> set[str]:
        """Return what a similarity type's measure looks at."""
        return set(load("similarity measure", self.study.measures[measure][0]).NEEDS)

    def measures_that_read(self, inputs: Set[str]) -> list[str]:
        """Return the similarity types that look at any of the `inputs`."""
        return [measure for measure in self.study.measures if self.reads(measure) & inputs]

    def if_read(self, what: str, *templates: str, **values: Any) -> Files:
        """Return a function: a job's files, of each locale if they have one, where its measure reads `what`."""

        def files(wildcards: Wildcards) -> list[str]:
            if what not in self.reads(wildcards.measure):
                return []
            return expand(list(templates), locale=self.run.locales, seed=wildcards.seed, **values)

        return files

    def similarity(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the settings of a similarity type; only what belongs to a seed depends on it."""
        measure, parameters = self.study.measures[wildcards.measure]
        return {
            "measure": measure,
            "parameters": parameters,
            "locales": self.run.locales,
            "languages": self.study.languages,
            "seed": int(wildcards.seed),
        }

    def measure_module(self, wildcards: Wildcards) -> str:
        """Return the module of a similarity type's measure."""
        return resolve("similarity measure", self.study.measures[wildcards.measure][0])

    # --- selection

    def greedy(self) -> list[tuple[str, int, bool]]:
        """Return the greedy searches: (target, seed, is the target a candidate?)."""
        return sorted(
            {
                (target, seed, spec.settings["include_target"])
                for spec in self.study.experiments.values()
                if getattr(load("selector", spec.settings["selector"]), "NEEDS_GREEDY", False)
                for target in spec.targets
                for seed in self.run.seeds
            }
        )

    def greedy_files(self) -> list[str]:
        """Return their files."""
        return [
            self.paths.greedy.format(target=target, seed=seed, candidates=CANDIDATES[include])
            for target, seed, include in self.greedy()
        ]

    def validation_matrices(self) -> list[str]:
        """Return the matrices that baselines choose by, if there are such baselines."""
        soups = any(name.startswith(SEED_SOUP) for name in self.study.merged_baselines)
        wanted = soups or self.few_shot or SCALED_TOP1 in self.run.baselines
        return expand(self.paths.seed_matrix_validation, seed=self.run.seeds) if wanted else []

    @property
    def scaling_grid(self) -> list[float]:
        """The λ of `scaled_top1`; none where the config does not ask for it."""
        return self.run.scaling_grid if SCALED_TOP1 in self.run.baselines else []

    def tiers(self) -> dict[str, str]:
        """Return how much of the target each similarity type sees."""
        measures = self.study.measures.items()
        return {name: load("similarity measure", measure).SUPERVISION for name, (measure, _) in measures}

    def selectors(self) -> Sequence[str]:
        """Return the modules of the selectors in use."""
        used = {spec.settings["selector"] for spec in self.study.experiments.values()}
        return [resolve("selector", name) for name in sorted(used)]

    def selection(self) -> dict[str, Any]:
        """Return the settings of the selection."""
        groupings = {method.grouped_by for method in self.methods.values()} - {None}
        return {
            "experiments": {
                name: {
                    "settings": spec.settings,
                    "targets": spec.targets,
                    "method_tier": self.methods[name].supervision,
                    "grouped_by": self.methods[name].grouped_by,
                    "joint": spec.joint,
                }
                for name, spec in self.study.experiments.items()
            },
            "groups": {by: self._groups(by) for by in groupings if by},
            "seeds": self.run.seeds,
            "pivot": self.run.pivot,
            "locales": self.run.locales,
            "targets": self.study.targets,
            "baselines": self.run.baselines,
            "baseline_names": self.study.merged_baselines,
            "few_shot_sizes": self.run.few_shot.sizes,
            "scaling_grid": self.scaling_grid,
            "cosines": COSINES,
            "greedy": self.greedy(),
            "tiers": self.tiers(),
        }

    def _groups(self, by: str) -> dict[str, str]:
        """Return locale → group."""
        if by == ROLE:
            return {locale: PIVOT if locale == self.run.pivot else "other" for locale in self.run.locales}
        return {locale: row[by] for locale, row in self.study.languages.items()}

    # --- models and what is measured on them

    def measurement(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the settings of a measurement on one model."""
        wanted = self.measurements[wildcards.measurement]
        return {
            "measurement": wanted.name,
            "parameters": wanted.parameters,
            "locale": wildcards.locale,
            "seed": int(wildcards.seed),
            "text": wildcards.text,
            "split": wildcards.split,
            "max_length": self.run.evaluation.max_length,
            "cache": self.paths.cache,
            "code": fingerprint("merging.measuring", resolve("model measurement", wanted.name)),
        }

    # --- from evaluation to report

    def tuning(self) -> dict[str, Any]:
        """Return the settings of what picks the members of tuned systems."""
        return {
            "targets": self.study.targets,
            "seeds": self.run.seeds,
            "tuned": {
                name: {"members": system.members, "on": system.on, "targets": system.targets}
                for name, system in self.study.tuned.items()
            },
        }

    def trained_files(self, template: str) -> Files:
        """Return a function: the files of a target's trained baselines, if it has any."""

        def files(wildcards: Wildcards) -> list[str]:
            targets = [wildcards.target] if wildcards.target in self.trained else []
            return expand(template, target=targets, seed=self.run.seeds)

        return files

    def evaluation(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the settings of a target's evaluation."""
        return {
            "target": wildcards.target,
            "locales": self.run.locales,
            "seeds": self.run.seeds,
            "pivot": self.run.pivot,
            "baselines": self.study.merged_baselines,
            "scaling_grid": self.scaling_grid,
            "experiments": self.experiments_of(wildcards.target),
            "tuned": [name for name, system in self.study.tuned.items() if wildcards.target in system.targets],
        }

    def report(self, **more: Any) -> dict[str, Any]:
        """Return what all that analyses or tells a finished run is told, and `more`."""
        study = self.study
        described = self.run.model_dump(include={"run", "locales", "seeds", "pivot", "base"})
        settings = {
            "experiments": {
                **{name: spec.settings for name, spec in study.experiments.items() if spec.plain},
                **{name: system.settings for name, system in study.tuned.items()},
            },
            "members": {name: spec.settings for name, spec in study.experiments.items() if not spec.plain},
            "tuned": {
                name: {"members": system.members, "on": system.on, "parameters": system.parameters}
                for name, system in study.tuned.items()
            },
            "languages": study.languages,
            "run": {
                **described,
                "labels": study.labels,
                "margin": self.run.statistics.margin / 100,
                "order": [*study.experiments, *study.tuned],  # the config's, which sorted JSON loses
                "measures": {name: measure for name, (measure, _) in study.measures.items()},
            },
        }
        return settings | more

    def database(self) -> dict[str, Any]:
        """Return what the database is told besides."""
        seeds, study = self.run.seeds, self.study
        return {
            "models": [[locale, seed] for locale in self.run.locales for seed in seeds],
            "merges": [[target, seed] for target in study.targets for seed in seeds],
            "database": {
                "ablations": {
                    **{name: spec.ablations for name, spec in study.experiments.items()},
                    **{name: system.ablations for name, system in study.tuned.items()},
                },
                "base": self.run.base.name,
                "results_dir": self.paths.root,
            },
        }
