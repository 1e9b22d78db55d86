"""What a run's stages found: a line per finished job and per finished stage, with its key number, read from files."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.words import percent, plural
from workflow_scripts.data.look import SPLITS, stage_lines
from workflow_scripts.selection.systems import BEST_SINGLE, ENGLISH, MERGE, title
from workflow_scripts.study.study import Study

Wildcards = Mapping[str, str]


def stage_sentences(study: Study) -> dict[str, Callable[[], str]]:
    """Return, per rule, what to say when its jobs are done, of all that is there and not of this start's jobs alone."""
    paths, run = study.paths, study.run
    models = {
        (locale, seed): paths.training.format(locale=locale, seed=seed) for locale in run.locales for seed in run.seeds
    }
    evaluations = [paths.evaluation.format(target=target) for target in study.targets]
    merges, trained = (
        [template.format(target=target, seed=seed) for target in study.targets for seed in run.seeds]
        for template in (paths.merge_info, paths.trained_info)
    )
    return {
        "examples": lambda: "\n".join(data(study)),
        "finetune": lambda: f"training: {training(models)}",
        "matrix": lambda: f"transfer: {transfer(paths.matrix_test)}",
        "select": lambda: f"selection: {selection(paths.plan)}",
        "merge": lambda: f"merging: {done_of(merges, len(run.seeds))}",
        "train_baselines": lambda: f"trained baselines: {done_of(trained, len(run.seeds))}",
        "evaluate": lambda: f"evaluation: {evaluation(evaluations)}",
    }


def job_details(study: Study) -> dict[str, Callable[[Wildcards], str]]:
    """Return, per rule, the key number of one of its finished jobs, given the job's wildcards."""
    paths = study.paths
    return {
        "finetune": lambda w: trained_to(paths.training.format(**w)),
        "row": lambda w: scored(paths.row_cells.format(**w)),
        "merge": lambda w: plural(read_json(paths.merge_info.format(**w))["merges"], "merge"),
        "train_baselines": lambda w: plural(read_json(paths.trained_info.format(**w))["models"], "model"),
    }


def data(study: Study) -> list[str]:
    """Return how much data there are, and what a person should know of them."""
    places = [(locale, split) for locale in study.run.locales for split in SPLITS]
    files = {place: Path(study.paths.examples_info.format(locale=place[0], split=place[1])) for place in places}
    return stage_lines({place: read_json(path) for place, path in files.items() if path.exists()})


def training(files: Mapping[tuple[str, int], str]) -> str:
    """Return how many models there are, the mean validation accuracy of those trained here, and which fall short."""
    histories = {model: read_json(file) for model, file in files.items() if Path(file).exists()}
    accuracies = [h["best_validation_accuracy"] for h in histories.values() if "best_validation_accuracy" in h]
    short = dict.fromkeys(locale for (locale, _), history in histories.items() if history.get("not_converged"))
    note = f"; not converged: {', '.join(short)}" if short else ""
    return f"{len(histories)} of {plural(len(files), 'model')}, mean validation accuracy {_mean(accuracies)}{note}"


def trained_to(file: str) -> str:
    """Return the validation accuracy that one training ended with."""
    return f"{_shown(read_json(file)['best_validation_accuracy'])} on validation data"


def scored(file: str) -> str:
    """Return a model's accuracies on its own language and on the others, of a row of the matrix."""
    rows = [row for row in _rows(file) if row["split"] == "test"]
    own = [float(row["accuracy"]) for row in rows if row["locale"] == row["model"]]
    others = [float(row["accuracy"]) for row in rows if row["locale"] != row["model"]]
    return f"own language {_mean(own)}, others {_mean(others)}"


def transfer(file: str) -> str:
    """Return the mean self and zero-shot accuracies."""
    rows = _rows(file)
    selves = [float(row[row["model"]]) for row in rows if row["model"] in row]
    others = [float(v) for row in rows for k, v in row.items() if k not in ("model", row["model"])]
    return f"mean self accuracy {_mean(selves)}, mean zero-shot {_mean(others)}"


def selection(file: str) -> str:
    """Return how many merges are planned."""
    plan = read_json(file).values()
    merges = [entry for entry in plan if not entry.get("baseline")]
    targets = {entry["target"] for entry in merges}
    return f"{plural(len(merges), 'merge')} planned for {plural(len(targets), 'target')}"


def done_of(files: Sequence[str], seeds: int) -> str:
    """Return for how many targets, and seeds if there are several, there is a file."""
    there = sum(Path(file).exists() for file in files)
    return f"done for {there} of {plural(len(files), 'target')}" + (" and seeds" if seeds > 1 else "")


def evaluation(files: Sequence[str]) -> str:
    """Return the mean accuracies, over targets and seeds, of all merges and of the single models beside them."""
    rows = [row for file in files if Path(file).exists() for row in _rows(file) if row["seed"] == "mean"]
    reached: dict[str, list[float]] = {}
    for row in rows:
        reached.setdefault(row["system"], []).append(float(row["accuracy"]))
    singles = [f"{title(name)} {_mean(reached[name])}" for name in (BEST_SINGLE, ENGLISH) if name in reached]
    return ", ".join([f"mean of all merges {_mean(reached.get(MERGE, []))}", *singles])


def _rows(file: str) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _mean(values: Sequence[float]) -> str:
    return _shown(fmean(values) if values else None)


def _shown(value: float | None) -> str:
    """Return a share with the report's digits, and a space that every terminal has."""
    return percent(value).replace("\u202f", " ")
