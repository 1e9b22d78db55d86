"""Greedy soup over sources, judged on the target's validation data."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.core.digests import read_digest
from workflow_scripts.core.inputs import by_wildcards, stated
from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.evaluation.cells import Target, decided_scoring, made_decision
from workflow_scripts.evaluation.scoring import Scorer
from workflow_scripts.merging.engine import Source, merge_files
from workflow_scripts.models.checkpoints import load_task_vector, verify_task_vector

SPLIT = "validation"


class GreedySearch:
    """A search for one target and seed.

    Sources come in order of A_val[s, t], ties by locale name. With IncTar the target's own model comes first and stays.
    A source stays if the uniform average with it is at least as accurate on the validation data as without it.

    Parameters
    ----------
    inputs : mapping
        ``matrix``: A_val of the seed; ``base``, ``base_digest``; ``models``, ``model_digests`` in the order of the
        locales; ``table``, ``table_digest``: the target's validation examples; ``precision``: see
        `evaluation.cells`.
    settings : mapping
        ``target``, ``locales``, ``include_target``, ``scoring``: see `evaluation.cells.CellCache`.
    threads : int

    Notes
    -----
    Wortsman et al. 2022 (arXiv 2203.05482), algorithm 1.
    """

    def __init__(self, inputs: Mapping[str, Any], settings: Mapping[str, Any], threads: int) -> None:
        self.base = read_digest(inputs["base_digest"])
        self.models = {
            locale: Path(path) for locale, path in by_wildcards(inputs["models"], settings["locales"]).items()
        }
        for model in stated(inputs, "model"):
            verify_task_vector(model.path, model.digest_file, self.base)
        self.settings, self.target = settings, settings["target"]
        self.zero_shot = read_matrix(inputs["matrix"])[self.target].to_dict()
        cell = Target(self.target, {SPLIT: inputs["table"]}, {SPLIT: inputs["table_digest"]})
        scoring = decided_scoring(settings["scoring"], made_decision(inputs))
        self.scorer = Scorer(inputs, [(cell, SPLIT)], scoring, threads)

    def run(self) -> dict[str, Any]:
        """Return ``sources`` in the order in which they were taken, and ``steps``: source, accuracy, taken or not."""
        taken: list[str] = []
        best, steps = 0.0, []
        for source in self.candidates():
            accuracy = self.accuracy([*taken, source])
            keep = not taken or accuracy >= best
            steps.append({"source": source, "accuracy": accuracy, "taken": keep})
            if keep:
                taken.append(source)
                best = accuracy
        return {"target": self.target, "sources": taken, "steps": steps}

    def candidates(self) -> list[str]:
        """Return the candidates in the order in which they are tried."""
        others = sorted((s for s in self.models if s != self.target), key=lambda s: (-self.zero_shot[s], s))
        return [self.target, *others] if self.settings["include_target"] else others

    def accuracy(self, sources: Sequence[str]) -> float:
        """Return the validation accuracy of the sources' uniform average."""
        with tempfile.TemporaryDirectory() as folder:
            merged = Path(folder) / "merged.safetensors"
            averaged = [Source(name, self.models[name], 1 / len(sources)) for name in sources]
            merge_files(averaged, "average", {}, merged, {"base": self.base}, durable=False)
            (_, scores), *_ = self.scorer.scores(load_task_vector(merged, self.base))
        return float(np.mean(scores.correct))
