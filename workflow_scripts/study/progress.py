"""One line per finished stage, with its key number, through Snakemake's own log: it stands above the progress bars."""

import csv
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from workflow_scripts.core.atomic import read_json
from workflow_scripts.data.look import SPLITS, stage_lines
from workflow_scripts.study.study import Study

Sentences = Mapping[str, Callable[[int], str]]
LAST = "write_report"  # when it starts, all other stages are done, even those that had less to do than announced


class StageProgress(logging.Handler):
    """Follows the events of a run.

    Parameters
    ----------
    sentences : mapping
        Rule → what to say when all its jobs are done, given their number.
    log : logging.Logger
        Where events come from and lines go to.
    """

    def __init__(self, sentences: Sentences, log: logging.Logger) -> None:
        super().__init__()
        self.sentences, self.log = sentences, log
        self.totals: dict[str, int] = {}
        self.rules: dict[int, str] = {}
        self.done: Counter[str] = Counter()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Count a job; after a stage's last one, say so."""
        event = getattr(record, "event", None)
        if event == "run_info":
            self.totals = dict(record.stats)  # type: ignore[attr-defined]
        elif event == "job_info":
            self.rules[record.jobid] = record.rule_name  # type: ignore[attr-defined]
            if record.rule_name == LAST:  # type: ignore[attr-defined]
                for rule in self.sentences:
                    self._say(rule)
        elif event == "job_finished":
            rule = self.rules.get(record.job_id, "")  # type: ignore[attr-defined]
            self.done[rule] += 1
            if self.done[rule] >= self.totals.get(rule, 1):
                self._say(rule)

    def _say(self, rule: str) -> None:
        if rule in self.sentences and self.done[rule] and rule not in self.said:
            self.said.add(rule)
            self.log.info(f"✓ {self._sentence(rule)}")

    def _sentence(self, rule: str) -> str:
        """Return what to say; what cannot be read must not end the run that it is about."""
        try:
            return self.sentences[rule](self.done[rule])
        except (OSError, ValueError, KeyError) as error:
            return f"{rule}: {self.done[rule]} jobs; the key number cannot be read: {error!r}"


def follow_stages(study: Study, log: logging.Logger) -> None:
    """Let a run say what its stages found; a Snakefile that is parsed again takes the place of its former self."""
    for handler in [h for h in log.handlers if isinstance(h, StageProgress)]:
        log.removeHandler(handler)
    log.addHandler(StageProgress(stage_sentences(study), log))


def stage_sentences(study: Study) -> dict[str, Callable[[int], str]]:
    """Return, per rule, what to say when its jobs are done; key numbers are read from the stage's files."""
    paths, run = study.paths, study.run
    models = [paths.training.format(locale=locale, seed=seed) for locale in run.locales for seed in run.seeds]
    evaluations = [paths.evaluation.format(target=target) for target in study.targets]
    trained = [paths.trained_info.format(target=target, seed=seed) for target in study.targets for seed in run.seeds]
    return {
        "examples": lambda _: "\n".join(data(study)),
        "finetune": lambda n: f"training: {n} of {len(models)} models, {training(models)}",
        "matrix": lambda _: f"transfer: {transfer(paths.matrix_test)}",
        "select": lambda _: f"selection: {selection(paths.plan)}",
        "merge": lambda n: f"merging: done for {n} targets and seeds",
        "train_baselines": lambda n: f"trained baselines: {baselines(trained)} for {n} targets and seeds",
        "evaluate": lambda _: f"evaluation: {evaluation(evaluations)}",
    }


def data(study: Study) -> list[str]:
    """Return how much data there are, and what a person should know of them."""
    places = [(locale, split) for locale in study.run.locales for split in SPLITS]
    files = {place: Path(study.paths.examples_info.format(locale=place[0], split=place[1])) for place in places}
    return stage_lines({place: read_json(path) for place, path in files.items() if path.exists()})


def training(files: Sequence[str]) -> str:
    """Return the mean validation accuracy of the models that are there, and were trained rather than brought along."""
    histories = [read_json(p) for p in map(Path, files) if p.exists()]
    accuracies = [h["best_validation_accuracy"] for h in histories if "best_validation_accuracy" in h]
    return f"mean validation accuracy {_percent(accuracies)}"


def transfer(file: str) -> str:
    """Return the mean self and zero-shot accuracies."""
    rows = _rows(file)
    selves = [float(row[row["model"]]) for row in rows]
    others = [float(v) for row in rows for k, v in row.items() if k not in ("model", row["model"])]
    return f"mean self accuracy {_percent(selves)}, mean zero-shot {_percent(others)}"


def selection(file: str) -> str:
    """Return how many merges are planned."""
    plan = read_json(file).values()
    merges = [entry for entry in plan if not entry.get("baseline")]
    return f"{len(merges)} merges planned for {len({entry['target'] for entry in merges})} targets"


def baselines(files: Sequence[str]) -> str:
    """Return how many models the targets' trained baselines are."""
    return f"{sum(read_json(p)['models'] for p in map(Path, files) if p.exists())} models"


def evaluation(files: Sequence[str]) -> str:
    """Return the mean accuracies of merges and of the best single source on the targets that are there, over seeds."""
    rows = [row for file in files if Path(file).exists() for row in _rows(file) if row["seed"] == "mean"]
    means = {
        name: _percent([float(row["accuracy"]) for row in rows if row["system"] == name])
        for name in ("merge", "best_zero_shot_val")
    }
    return f"merges {means['merge']}, best single source chosen on validation data {means['best_zero_shot_val']}"


def _rows(file: str) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _percent(values: Sequence[float]) -> str:
    return f"{100 * fmean(values):.1f} %" if values else "–"
