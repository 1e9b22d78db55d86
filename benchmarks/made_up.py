"""Results of a run made up at a chosen size, to see what the jobs that read them take."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lang2vec.lang2vec as l2v
import numpy as np
import pandas as pd
import torch
import yaml
from safetensors.numpy import load_file

from benchmarks.planning import call, write_data, write_stubs
from benchmarks.processes import measured
from tests.conftest import ROOT, preset
from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import read_digest, write_digest
from workflow_scripts.core.provenance import sidecar
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.data.providers.massive.facts import LABELS
from workflow_scripts.evaluation.packs import Scores, write_pack, write_row
from workflow_scripts.jobs import evaluate_target
from workflow_scripts.languages.locales import all_locales
from workflow_scripts.models.checkpoints import TaskVector, save_task_vector
from workflow_scripts.planning.jobs import Job, read_jobs

INTENTS = ["on", *LABELS[1:]]  # the stub data use the first
KINDS = 8  # so many different rows and packs of merges; the others are links to them
MADE_UP = ("base", "examples", "finetune", "row", "merge", "evaluate")  # the other rules' jobs all run for real


class Sample:
    """A study of the reference study's experiments, its results made up.

    Parameters
    ----------
    locales : list of str
    sizes : dict of str to int
        Sentences of a locale's ``test`` and ``validation`` data.
    """

    def __init__(self, locales: list[str], sizes: dict[str, int]) -> None:
        self.locales, self.sizes = locales, {**sizes, "train": sizes["validation"]}
        self.draw = np.random.default_rng(0)
        self.labels = {split: self.draw.integers(len(INTENTS), size=n) for split, n in self.sizes.items()}
        self.jobs: list[Job] = []

    def measure(self) -> list[dict[str, Any]]:
        """Make all up in the working directory; return what one job of each rule takes, all of the light rules'."""
        self.jobs = self._planned()
        found = [self._run(self._of("base")[0])]
        self._make_examples()
        self._make_models()
        found.append(self._run(self._of("row")[0]))
        self._make_rows()
        merges, evaluations = self._of("merge"), self._of("evaluate")
        found += [self._run(job) for job in self._between("row", "merge")]
        found.append(self._run(merges[0]))
        self._make_merges()
        found.append(self._run(evaluations[0]))
        for job in evaluations[1:]:
            evaluate_target.main(job.inputs, job.outputs, job.settings or {}, 1)
        return found + [self._run(job) for job in self._between("evaluate", None)]

    def _planned(self) -> list[Job]:
        """Return all jobs, after stubs of all outputs and a plan were written."""
        Path("run.yaml").write_text(yaml.safe_dump(self._config(), allow_unicode=True))
        write_data(Path("data"), self.locales)
        read = read_jobs(["--configfile", "run.yaml"])
        assert read is not None
        write_stubs(*read)
        measured([*call("-m", "snakemake", "--touch", "--quiet"), "--cores", "1"])
        read = read_jobs(["--configfile", "run.yaml"])
        assert read is not None
        return read[1]

    def _config(self) -> dict[str, Any]:
        known = all_locales()
        codes = sorted(set(map(str, l2v.LANGUAGES)) - {row.uriel for row in known.values()})
        made_up = [locale for locale in self.locales if locale not in known]
        languages = {
            locale: {"language": locale, "uriel": code, "family": f"family {i % 12}", "genus": f"genus {i % 30}"}
            for i, (locale, code) in enumerate(zip(made_up, codes, strict=False))
        }
        of_preset = {key: preset("massive")[key] for key in ("baselines", "pivot", "similarity", "ablations")}
        return {
            "run": "scaling",
            "locales": self.locales,
            "languages": languages,
            "labels": INTENTS,
            "data": {"provider": "local_files", "folder": "data"},
            "base": "tiny_encoder",
            **of_preset,
        }

    def _of(self, rule: str) -> list[Job]:
        return [job for job in self.jobs if job.rule == rule]

    def _between(self, first: str, last: str | None) -> list[Job]:
        """Return the jobs that nothing was made up for, of the rules that follow one and come before another."""
        rules = list(dict.fromkeys(job.rule for job in self.jobs))
        chosen = rules[rules.index(first) + 1 : rules.index(last) if last else None]
        return [job for job in self.jobs if job.rule in chosen and job.rule not in MADE_UP]

    def _run(self, job: Job) -> dict[str, Any]:
        """Run a job in a process of its own; return what it took, and how much it wrote."""
        keep = {"plan": "sample.plan.json"} if job.rule == "select" else {}  # the jobs' settings are of the other plan
        outputs = {**job.outputs, **keep}
        rule = {"rule": job.rule, "script": SCRIPTS[job.rule]}
        Path("job.json").write_text(json.dumps({**rule, **vars(job), "outputs": outputs}))
        found = measured([sys.executable, "-m", "benchmarks.one_job", "job.json"])
        files = [f for value in outputs.values() for f in ([value] if isinstance(value, str) else value)]
        took = {"CPU s": found["cpu_seconds"], "peak MB": found["peak_mb"]}
        size = sum(Path(f).stat().st_size for f in files if Path(f).is_file())
        print(job.rule, job.subject, took, flush=True)
        return {"job": f"{job.rule} {job.subject}".strip(), **took, "MB written": round(size / 1e6, 1)}

    def _make_examples(self) -> None:
        words = [f"word{i}" for i in range(300)]
        for job in self._of("examples"):
            split = Path(job.outputs["table"]).stem
            count, locale = self.sizes[split], job.subject
            numbers = [f"{split}{i}" for i in range(count)]
            texts = [f"{locale} {' '.join(self.draw.choice(words, 6))} {number}" for number in numbers]
            table = pd.DataFrame({"id": numbers, "text": texts, "label": self.labels[split], "cluster": numbers})
            write_examples(table, job.outputs["table"])
            write_digest(job.outputs["digest"], examples_digest(table))

    def _make_models(self) -> None:
        base = self._of("base")[0].outputs
        shapes = {name: tensor.shape for name, tensor in load_file(f"{base['model']}/model.safetensors").items()}
        metadata = {"base": read_digest(base["digest"]), "finetune": {}, "seed": 0}
        for job in self._of("finetune"):
            dense = {name: 0.01 * torch.randn(shape) for name, shape in shapes.items()}
            out = job.outputs
            vector = TaskVector(dense, {})
            digest = save_task_vector(vector, out["model"], "float32", {**metadata, "locale": job.subject})
            write_digest(out["digest"], digest)
            write_json(out["training"], {"best_step": 1, "best_validation_accuracy": 0.8, "log": []})
            write_json(out["info"], self._sidecar(job, {"computed": [job.subject], "cache_entries": [digest]}))

    def _make_rows(self) -> None:
        rows = self._of("row")
        for kind, job in enumerate(rows):
            out = job.outputs
            facts = {"cells": len(self.locales), "computed": self.locales}
            write_json(out["info"], self._sidecar(job, {**facts, "cache_entries": ["0" * 32] * 2 * len(self.locales)}))
            if kind < KINDS:
                packs = {
                    split: {name: self._scores(split) for name in self.locales} for split in ("test", "validation")
                }
                write_row(out, packs, job.subject, 0, self.locales)
                continue
            like = rows[kind % KINDS]
            self._link(like, job, "test", "validation", "digest")
            cells = Path(like.outputs["cells"]).read_text().replace(f"\n{like.subject},", f"\n{job.subject},")
            Path(out["cells"]).write_text(cells)

    def _make_merges(self) -> None:
        """Take the scores of the target's merges at random, all else from the one that was made."""
        made, *others = self._of("merge")
        facts, info = (json.loads(Path(made.outputs[key]).read_text()) for key in ("facts", "info"))
        for kind, job in enumerate(others):
            write_json(job.outputs["facts"], facts)
            write_json(job.outputs["info"], {**info, "settings": job.settings})
            write_digest(job.outputs["digest"], "0" * 32)
            if kind < KINDS:
                for split in ("test", "validation"):
                    write_pack(job.outputs[split], {name: self._scores(split) for name in facts})
            else:
                self._link(others[kind % KINDS], job, "test", "validation")

    def _scores(self, split: str) -> Scores:
        """Return scores with an accuracy between 0.3 and 0.8."""
        labels = self.labels[split]
        logits = self.draw.standard_normal((len(labels), len(INTENTS)), np.float32)
        logits[np.arange(len(labels)), labels] += 8 * (self.draw.random(len(labels)) < self.draw.uniform(0.3, 0.8))
        return Scores.of(logits, labels)

    def _sidecar(self, job: Job, facts: dict[str, Any]) -> dict[str, Any]:
        watch = Stopwatch()
        return sidecar(job.rule, job.settings or {}, "", job.inputs, watch, {**facts, "making_cost": watch.cost()})

    @staticmethod
    def _link(made: Job, job: Job, *names: str) -> None:
        for name in names:
            target = Path(job.outputs[name])
            target.unlink(missing_ok=True)
            os.link(made.outputs[name], target)


def _scripts() -> Iterator[tuple[str, str]]:
    """Yield every rule with its entry point."""
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for part in re.split(r"\n(?:rule|checkpoint) ", file.read_text(encoding="utf-8"))[1:]:
            if found := re.search(r"\{SCRIPTS\}/jobs/(\w+)\.py\"\s*$", part, re.MULTILINE):
                yield part.split(":")[0], found[1]


SCRIPTS = dict(_scripts())
