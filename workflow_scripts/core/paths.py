"""Every path of a run, built in this one place and never parsed back."""

import os
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Path templates of one run; ``{…}`` are Snakemake wildcards.

    Attributes ending in ``_digest`` are small files that hold nothing but a content digest: they decide
    what reruns. The big files beside them only order the jobs.
    """

    root: str = ""
    original: str = "data/original"
    original_digest: str = "data/original.digest"
    original_info: str = "data/original.json"
    examples: str = "data/{locale}/{split}.parquet"
    examples_digest: str = "data/{locale}/{split}.digest"
    examples_info: str = "data/{locale}/{split}.json"
    base: str = "base/model"
    base_digest: str = "base/base.digest"
    base_info: str = "base/base.json"
    model: str = "models/{locale}/seed{seed}/model.safetensors"
    model_digest: str = "models/{locale}/seed{seed}/model.digest"
    training: str = "models/{locale}/seed{seed}/training.json"
    model_info: str = "models/{locale}/seed{seed}/model.json"
    precision: str = "nxn/precision/decision.json"
    precision_info: str = "nxn/precision/precision.json"
    row_test: str = "nxn/rows/{locale}/seed{seed}/test.safetensors"
    row_validation: str = "nxn/rows/{locale}/seed{seed}/validation.safetensors"
    row_cells: str = "nxn/rows/{locale}/seed{seed}/cells.csv"
    row_digest: str = "nxn/rows/{locale}/seed{seed}/row.digest"
    row_info: str = "nxn/rows/{locale}/seed{seed}/row.json"
    cells: str = "nxn/cells.csv"
    matrix_test: str = "nxn/evaluation_matrix.csv"
    matrix_validation: str = "nxn/evaluation_matrix_validation.csv"
    seed_matrix_test: str = "nxn/evaluation_matrix_seed{seed}.csv"
    seed_matrix_validation: str = "nxn/evaluation_matrix_validation_seed{seed}.csv"
    similarity: str = "similarity/{measure}/seed{seed}.csv"
    similarity_info: str = "similarity/{measure}/seed{seed}.json"
    measurements: str = "measurements"
    measurement: str = "measurements/{measurement}/{locale}/seed{seed}/{text}-{split}.safetensors"
    measurement_digest: str = "measurements/{measurement}/{locale}/seed{seed}/{text}-{split}.digest"
    measurement_info: str = "measurements/{measurement}/{locale}/seed{seed}/{text}-{split}.json"
    greedy: str = "selection/greedy/{target}/seed{seed}-{candidates}.json"
    plan: str = "selection/plan.json"
    tuned: str = "selection/tuned.json"
    merge_test: str = "merge/{target}/seed{seed}/test.safetensors"
    merge_validation: str = "merge/{target}/seed{seed}/validation.safetensors"
    merge_facts: str = "merge/{target}/seed{seed}/merges.json"
    merge_failures: str = "merge/{target}/seed{seed}/failures.json"
    merge_digest: str = "merge/{target}/seed{seed}/merge.digest"
    merge_info: str = "merge/{target}/seed{seed}/merge.json"
    complete: str = "merge/complete.json"
    trained_test: str = "trained/{target}/seed{seed}/test.safetensors"
    trained_facts: str = "trained/{target}/seed{seed}/trainings.json"
    trained_digest: str = "trained/{target}/seed{seed}/trained.digest"
    trained_info: str = "trained/{target}/seed{seed}/trained.json"
    evaluation: str = "evaluation/{target}.csv"
    evaluation_items: str = "evaluation/{target}.items.parquet"
    predictor: str = "report/predictor.json"
    recommendations: str = "report/recommendations.csv"
    report: str = "report"
    export_model: str = "export/{locale}/seed{seed}"
    export_merge: str = "export/{experiment}/{target}/seed{seed}"
    database: str = "experiments.db"
    log: str = "logs/{rule}/{name}.log"
    cache: str = "cache"
    lock: str = ".lock"

    def log_of(self, rule: str, name: str) -> str:
        """Return the template of a rule's logs; `name` has the wildcards."""
        return self.log.replace("{rule}", rule).replace("{name}", name)


def run_paths(run: str) -> Paths:
    """Return the templates of run `run`, all below ``results/{run}/``."""
    root = f"results/{run}"
    return Paths(**{f.name: f"{root}/{f.default}".rstrip("/") for f in fields(Paths)})


def user_cache() -> Path:
    """Return the folder for downloads shared by all runs (``XLMERGE_CACHE`` overrides it)."""
    chosen = os.environ.get("XLMERGE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "xlmerge"
