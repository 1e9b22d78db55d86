"""What half precision and stored rows do to predictions: ``python -m benchmarks.precision results/demo``.

Takes the models of a finished run. Every model predicts every locale's test sentences from its task vector as it is,
and again from a copy in float16 and in bfloat16; less than 0.1 % of the predictions should change. Then rows of its
embedding are changed, stored by rows and stored whole: the logits must be identical. Then it predicts once more in each
of the faster number formats of `evaluation.precision`.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.core.digests import read_digest
from workflow_scripts.evaluation.agreement import FAST
from workflow_scripts.evaluation.cells import Target
from workflow_scripts.evaluation.scoring import Scorer
from workflow_scripts.models.checkpoints import (
    TaskVector,
    embedding_name,
    load_task_vector,
    save_task_vector,
    set_task_vector,
    skeleton,
)
from workflow_scripts.models.predict import predict

EVALUATION = {"max_length": 128, "batch_tokens": 2048}
FORMATS = {f"passes in {name}": name for name in FAST}
ROWS = 2000  # changed rows of the embedding


def compare(run: Path) -> dict[str, dict[str, float]]:
    """Return per way of storing what it does to the predictions of all models of a run; see `difference`."""
    inputs = {"base": run / "base/model", "base_digest": run / "base/base.digest"}
    base = read_digest(inputs["base_digest"])
    cells = [(target(run, p.name), "test") for p in sorted((run / "data").iterdir())]
    with tempfile.TemporaryDirectory() as cache:
        scoring = {"evaluation": EVALUATION, "code": "benchmark", "cache": cache}
        scorer = Scorer(inputs, cells, scoring, torch.get_num_threads())
    names = ("float16", "bfloat16", "rows", *FORMATS)
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in names}
    for path in sorted((run / "models").glob("*/*/model.safetensors")):
        full = load_task_vector(path, base)
        reference = logits(scorer, full)
        for storage in ("float16", "bfloat16"):
            pairs[storage].append((reference, logits(scorer, stored(full, storage, base))))
        by_rows, whole = (stored(v, "float32", base) for v in with_rows(full, run / "base/model"))
        pairs["rows"].append((logits(scorer, by_rows), logits(scorer, whole)))
        for name, precision in FORMATS.items():
            pairs[name].append((reference, logits(scorer, full, precision)))
    return {name: difference(both) for name, both in pairs.items()}


def target(run: Path, locale: str) -> Target:
    """Return a locale's test split."""
    stem = run / "data" / locale / "test"
    return Target(locale, {"test": f"{stem}.parquet"}, {"test": f"{stem}.digest"})


def logits(scorer: Scorer, task_vector: TaskVector, precision: str = "float32") -> np.ndarray:
    """Return a model's logits (float32) on all cells."""
    set_task_vector(scorer.model, scorer.base, scorer.vocabulary, task_vector)
    return np.concatenate([predict(scorer.model, texts, scorer.batch_tokens, precision) for texts in scorer.encoded])


def stored(task_vector: TaskVector, storage: str, base: str) -> TaskVector:
    """Return a task vector as it comes back from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_task_vector(task_vector, path, storage, {"base": base})
        return load_task_vector(path, base)


def with_rows(task_vector: TaskVector, base: Path) -> tuple[TaskVector, TaskVector]:
    """Return the task vector with some changed rows of the embedding: by rows, and as a whole tensor."""
    model = skeleton(base)
    name, shape = embedding_name(model), model.get_input_embeddings().weight.shape
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(shape[0], generator=generator)[:ROWS].sort().values
    values = torch.randn(len(rows), shape[1], generator=generator) / 100
    whole = torch.zeros(shape).index_copy_(0, rows, values)
    return TaskVector(task_vector.dense, {name: (rows, values)}), TaskVector({**task_vector.dense, name: whole}, {})


def difference(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Return the number of predictions, the share of changed ones, and the largest difference of a logit."""
    before, after = (np.concatenate(side) for side in zip(*pairs, strict=True))
    changed = float((before.argmax(1) != after.argmax(1)).mean())
    return {"predictions": len(before), "changed": changed, "largest_difference": float(np.abs(before - after).max())}


def main() -> None:
    """Compare and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    print(json.dumps(compare(parser.parse_args().run), indent=1))


if __name__ == "__main__":
    main()
