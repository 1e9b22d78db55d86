"""Every system of one target: the baselines and the merges, one table row each."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.inputs import by_wildcards
from workflow_scripts.core.intervals import clustered_accuracy
from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.evaluation.packs import read_pack
from workflow_scripts.results.computations import COMPUTATIONS, Members, Reached, TargetData, first_best, of_scores
from workflow_scripts.selection.plan import entry_key
from workflow_scripts.selection.systems import (
    MERGE,
    SCALED_TOP1,
    Made,
    Scope,
    baselines,
    name_beside,
    scaled_name,
    system,
)
from workflow_scripts.selection.trainings import trainings_of

Row = dict[str, Any]
QUALITIES = ("accuracy_validation", "macro_f1", "nll", "ece")
LABELLED = "labelled_sentences"  # the column with the number of sentences that a `few_shot` was trained on
NOT_JUDGED = float("nan")  # validation accuracy of a model that nothing is chosen by


@dataclass(frozen=True)
class System:
    """One system on one target with one seed.

    Attributes
    ----------
    name, tier : str
        What it is (``merge`` or a baseline) and the supervision that it needs.
    experiment : str
        Empty for the baselines that no experiment shapes.
    correct : ndarray of float64, shape (n,)
        Correctness per item; of a mean over models, its mean.
    facts : dict
        Further columns.
    """

    name: str
    tier: str
    experiment: str
    correct: np.ndarray
    facts: Row = field(default_factory=dict)


def target_systems(
    inputs: Mapping[str, Any], settings: Mapping[str, Any], plan: Mapping[str, Any], table: pd.DataFrame
) -> Iterator[tuple[int, System]]:
    """Yield every system of one target with its seed: per seed the baselines, then every experiment.

    Parameters
    ----------
    inputs : mapping
        ``rows``: packs in the order of locales × seeds; ``validation_matrices``, ``merges`` and
        ``merges_validation``: one file per seed; ``failures`` likewise, merges that could not be made: an experiment
        that fails with one seed is left out; ``trained`` and ``trained_facts`` likewise, if there are trained
        baselines.
    settings : mapping
        ``target``, ``locales``, ``seeds``, ``pivot``, ``experiments``, ``tuned`` (names of tuned systems),
        ``baselines`` (names of merges) and ``scaling_grid`` (of `scaled_top1`; empty without it).
    plan : mapping
        The plan's entries, and those of tuned systems.
    table : DataFrame
        The target's test examples.
    """
    target, locales, seeds = (settings[key] for key in ("target", "locales", "seeds"))
    rows = by_wildcards(inputs["rows"], locales, seeds)
    trained, facts = (inputs.get(name) or [""] * len(seeds) for name in ("trained", "trained_facts"))
    merged, validation_matrices = (inputs["merges"], inputs["merges_validation"]), inputs["validation_matrices"]
    of_seeds = map(SeedFiles, *merged, trained, facts, validation_matrices)
    trainings = dict.fromkeys(row.asked for row in baselines("target") if row.made == "training")
    failed = {name for path in inputs["failures"] for name in read_json(path)["failed"]}
    experiments = [name for name in settings["experiments"] if name not in failed]
    if not experiments:
        raise XlmergeError(
            f"no experiment has a merge for {target} with every seed: {', '.join(sorted(failed))} failed"
        )
    experiments += [name for name in settings["tuned"] if entry_key(name, target, seeds[0]) in plan]
    merges = [name for name in settings["baselines"] if name not in failed and not system(name).scaled]
    grid = [scaling for scaling in settings["scaling_grid"] if scaled_name(scaling) not in failed]
    for seed, files in zip(seeds, of_seeds, strict=True):
        models = {locale: read_pack(rows[locale, seed], target) for locale in locales}
        matrix = read_matrix(files.validation_matrix)
        ahead = ahead_elsewhere(matrix, target)
        data = TargetData(target, seed, table, models, matrix[target].to_dict(), ahead, settings["pivot"])
        systems = [_computed("target", data.others(), {}), _scaled(data, grid, files)]
        systems += [_of_experiment(data, plan[entry_key(n, target, seed)], files, failed) for n in experiments]
        planned = (plan.get(entry_key(name, target, seed)) for name in (*merges, *trainings))
        systems += [_planned(data, entry, files) for entry in planned if entry is not None]
        yield from ((seed, each) for group in systems for each in group)


def ahead_elsewhere(matrix: pd.DataFrame, target: str) -> dict[str, float]:
    """Return what every other locale's model is ahead of their mean on the other targets' validation data.

    Neither the target's data nor its model enter, and no model is judged on its own locale: the mean over the other
    targets of its accuracy − that of the models that could be taken there. Empty without two others and a third.

    Parameters
    ----------
    matrix : DataFrame
        Validation accuracies, rows = models, columns = evaluation locales.
    target : str

    Examples
    --------
    >>> names = ["a", "b", "c", "t"]
    >>> accuracies = pd.DataFrame([[1, 0.6, 0.8, 0], [0.5, 1, 0.4, 0], [0.5, 0.4, 1, 0], [0, 0, 0, 1]], names, names)
    >>> {model: round(ahead, 2) for model, ahead in ahead_elsewhere(accuracies, "t").items()}
    {'a': 0.15, 'b': -0.1, 'c': -0.05}
    """
    others = [locale for locale in matrix.index if locale != target]
    if len(others) < 3:
        return {}
    known = matrix.loc[others, [locale for locale in matrix.columns if locale != target]]
    zero_shot = known.mask(np.equal.outer(known.index.to_numpy(), known.columns.to_numpy()))
    return (zero_shot - zero_shot.mean()).mean(axis=1).to_dict()


@dataclass(frozen=True)
class SeedFiles:
    """The files of one seed: scores of a target's merges and trainings, and the models' validation accuracies."""

    merges: str
    merges_validation: str
    trained: str
    trained_facts: str
    validation_matrix: str

    def reached(self, made: Made, name: str, labels: np.ndarray) -> Reached:
        """Return what a merge or a training reaches."""
        if made == "training":
            return of_scores(read_pack(self.trained, name), labels, NOT_JUDGED)
        validation = read_pack(self.merges_validation, name).accuracy
        return of_scores(read_pack(self.merges, name), labels, validation)


def _of_experiment(
    data: TargetData, entry: Mapping[str, Any], files: SeedFiles, failed: Collection[str]
) -> Iterator[System]:
    """Yield a merge, of a tuned system the one that it picked, and the baselines among its own sources."""
    name, stored = entry["experiment"], entry.get("picked", entry["experiment"])
    yield System(MERGE, entry["tier"], name, *files.reached("merge", stored, data.labels))
    yield from _computed("experiment", data.sources(entry), entry)
    for row in baselines("experiment"):
        beside = name_beside(row.name, stored)
        if row.made != "logits" and entry.get(row.asked) and beside not in failed:
            yield System(row.name, row.tier_beside(entry), name, *files.reached(row.made, beside, data.labels))


def _computed(scope: Scope, models: Members, entry: Mapping[str, Any]) -> Iterator[System]:
    """Yield the systems that are arithmetic on the models' logits, those that can be formed."""
    for row in baselines(scope):
        if row.made == "logits" and (reached := COMPUTATIONS[row.name](models)) is not None:
            yield System(row.name, row.tier_beside(entry), entry.get("experiment", ""), *reached)


def _scaled(data: TargetData, grid: Sequence[float], files: SeedFiles) -> Iterator[System]:
    """Yield the best other model with the λ that is best on the target's validation data; λ = 1 is no merge."""
    best = data.best_on_validation(data.others().locales)
    reached = {x: files.reached("merge", scaled_name(x), data.labels) for x in grid if x != 1}
    reached |= {x: data.single(best) for x in grid if x == 1}
    if reached:
        scores = {x: facts["accuracy_validation"] for x, (_, facts) in reached.items()}
        correct, facts = reached[x := first_best(scores, sorted(scores, key=lambda x: (abs(x - 1), x)))]
        yield System(SCALED_TOP1, system(SCALED_TOP1).tier, "", correct, {**facts, "model": f"{best} × {x:g}"})


def _planned(data: TargetData, entry: Mapping[str, Any], files: SeedFiles) -> Iterator[System]:
    """Yield the baselines of the target that an entry of the plan is: a merge, or trainings, those that were formed."""
    if not entry.get("trained"):
        name = entry["experiment"]
        yield System(name, entry["tier"], "", *files.reached("merge", name, data.labels))
        return
    formed = read_json(files.trained_facts)
    for name in trainings_of(entry):
        if name in formed:
            correct, facts = files.reached("training", name, data.labels)
            yield System(name, entry["tier"], "", correct, {**facts, LABELLED: formed[name]["sentences"]})


def table_rows(target: str, systems: Iterable[tuple[int, System]], clusters: np.ndarray) -> Iterator[Row]:
    """Yield the table rows of a target's systems (with their seeds), then those of their means over seeds."""
    of_seeds: dict[tuple[str, str], list[System]] = {}
    for seed, each in systems:
        of_seeds.setdefault((each.experiment, each.name), []).append(each)
        yield table_row(target, seed, each, clusters)
    for group in of_seeds.values():
        yield table_row(target, "mean", mean_over_seeds(group), clusters)


def table_row(target: str, seed: int | str, system: System, clusters: np.ndarray) -> Row:
    """Return a system's table row: accuracy with n, clusters and interval, then its facts."""
    accuracy = asdict(clustered_accuracy(system.correct, clusters))
    head = {"target": target, "experiment": system.experiment, "system": system.name, "tier": system.tier}
    return {**head, "seed": seed, "accuracy": accuracy.pop("value"), **accuracy, **system.facts}


def mean_over_seeds(systems: Sequence[System]) -> System:
    """Return one system's mean over seeds; its item is the mean correctness, its quality the mean quality."""
    first = systems[0]
    averaged = (*QUALITIES, LABELLED)
    facts: Row = {k: float(np.mean([s.facts[k] for s in systems])) for k in averaged if k in first.facts}
    if models := dict.fromkeys(str(s.facts["model"]) for s in systems if "model" in s.facts):
        facts["model"] = "/".join(models)
    correct = np.mean([s.correct for s in systems], axis=0)
    return System(first.name, first.tier, first.experiment, correct, facts)
