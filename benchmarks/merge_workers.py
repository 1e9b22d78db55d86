"""The jobs that `benchmarks.merge` measures, each in a process of its own; imports are done before the clock starts."""

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SPECIAL = {  # where the defaults say too little
    "ties": {"trim": "tensor"},
    "hierarchical": {"outer": "karcher"},
    "layer_swap": {"middle_from": "all"},
    "regmean": {"statistics": "free"},
}
MERGEKIT = {  # method → mergekit's name, parameters per model, parameters
    "similarity": ("linear", {}, {}),
    "task_arithmetic": ("task_arithmetic", {}, {}),
    "ties": ("ties", {"density": 0.2}, {}),
    "dare_linear": ("dare_linear", {"density": 0.5}, {}),
    "dare_ties": ("dare_ties", {"density": 0.5}, {}),
    "della": ("della", {"density": 0.5, "epsilon": 0.1}, {}),
    "breadcrumbs": ("breadcrumbs", {"density": 0.9, "gamma": 0.01}, {}),
    "slerp": ("slerp", {}, {"t": 0.5}),
    "karcher": ("karcher", {}, {}),
    "model_stock": ("model_stock", {}, {}),
    "sce": ("sce", {}, {"select_topk": 0.1}),
}
WITHOUT_BASE = {"linear", "karcher"}


def floor(job: dict) -> Callable[[], None]:
    """Read all sources (and θ₀, where it is needed) once and write as much as one of them."""

    def run() -> None:
        buffer = np.empty(1 << 18, np.float32)
        for path in [*job["paths"], *job.get("with_base", ())]:
            with open(path, "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
        with open(job["out"], "wb", buffering=0) as file:
            for _ in range(-(-os.path.getsize(job["paths"][0]) // buffer.nbytes)):
                file.write(buffer)

    return run


def xlmerge(job: dict) -> Callable[[], None]:
    """Merge task vectors."""
    from benchmarks.merge_models import layout_of
    from workflow_scripts.merging.engine import Source, merge_files

    k = len(job["paths"])
    sources = [
        Source(f"source{i:03}", Path(path), 1 / k, "first" if i < k / 2 else "second")
        for i, path in enumerate(job["paths"])
    ]
    layout = layout_of({n: tuple(s) for n, s in job["shapes"].items()}, job["layers"])
    settings = {"layout": layout, "durable": False}
    parameters = SPECIAL.get(job["method"], {})
    return lambda: merge_files(sources, job["method"], parameters, job["out"], {}, **settings)


def checkpoints(job: dict) -> Callable[[], None]:
    """Merge full checkpoints into a full checkpoint."""
    from workflow_scripts.checkpoints.merge import merge_checkpoints
    from workflow_scripts.merging.method import Step

    k = len(job["models"])
    step = Step(job["method"], SPECIAL.get(job["method"], {}), (1 / k,) * k)
    groups = ["first" if i < k / 2 else "second" for i in range(k)]
    return lambda: merge_checkpoints(job["models"], job["base"], job["out"], [step], groups=groups, durable=False)


def mergekit(job: dict) -> Callable[[], None]:
    """Merge checkpoints with mergekit."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    method, per_model, whole = MERGEKIT[job["method"]]
    parameters = {"weight": 1 / len(job["models"]), **per_model}
    models = [{"model": m, "parameters": parameters} for m in job["models"]]
    config = {"merge_method": method, "models": models, "parameters": whole, "dtype": "float32"}
    if method not in WITHOUT_BASE:
        config["base_model"] = job["models"][0] if method == "slerp" else job["base"]
    merge, options = MergeConfiguration.model_validate(config), MergeOptions(copy_tokenizer=False, quiet=True)
    return lambda: run_merge(merge, job["out"], options)


def main() -> None:
    """Run a job, given as JSON, and print the best wall time of its repeats and the peak memory."""
    job = json.loads(sys.argv[1])
    run, walls = globals()[job["worker"]](job), []
    for _ in range(job["repeat"]):
        remove(Path(job["out"]))
        start = time.perf_counter()
        run()
        walls.append(time.perf_counter() - start)
    remove(Path(job["out"]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": min(walls), "gigabytes": peak}))


def remove(path: Path) -> None:
    """Delete a file or folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
