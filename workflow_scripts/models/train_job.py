"""A training as a job: verified inputs, result into the cache, scratch cleared."""

from collections.abc import Mapping
from typing import Any

import torch

from workflow_scripts.core.atomic import atomic_path, remove, write_json
from workflow_scripts.core.costs import Cost, Stopwatch
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.seeds import derive_seed
from workflow_scripts.data.examples import read_examples
from workflow_scripts.models.attempts import finetune_with_retries
from workflow_scripts.models.checkpoints import save_task_vector, verify_base
from workflow_scripts.models.model_cache import COST, FILES, ModelCache
from workflow_scripts.models.training import Trained


def train(
    inputs: Mapping[str, Any], settings: Mapping[str, Any], base: str, cache: ModelCache, threads: int, watch: Stopwatch
) -> None:
    """Train and store the model, and what `watch` says, in its cache entry.

    A rerun after a kill goes on from the last checkpoint of the attempt that it met; its cost is that of the last run.
    """
    torch.set_num_threads(threads)
    verify_base(inputs["base"], inputs["base_digest"])
    tables = {n: read_examples(inputs[n], inputs[f"{n}_digest"]) for n in ("train", "validation")}
    seed = derive_seed("finetune", settings["locale"], settings["seed"])
    cache.scratch.mkdir(parents=True, exist_ok=True)
    trained = finetune_with_retries(
        inputs["base"],
        **tables,
        settings=settings["finetune"],
        seed=seed,
        scratch=cache.scratch,
        retries=settings["retries"],
        name=f"{settings['locale']}, seed {settings['seed']}",
    )
    metadata = {"base": base, "locale": settings["locale"], "seed": settings["seed"], "finetune": settings["finetune"]}
    store(trained, cache, metadata, watch)


def store(trained: Trained, cache: ModelCache, metadata: Mapping[str, Any], watch: Stopwatch) -> None:
    """Put a finished training into its cache entry, and clear its scratch folder.

    Parameters
    ----------
    trained : Trained
    cache : ModelCache
    metadata : mapping
        Goes into the file: at least ``base`` (θ₀'s digest) and ``finetune`` (the settings).
    watch : Stopwatch
        Started before the training.
    """
    with atomic_path(cache.folder) as folder:
        folder.mkdir()
        storage = metadata["finetune"]["storage"]
        digest = save_task_vector(trained.task_vector, folder / FILES["model"], storage, dict(metadata))
        write_digest(folder / FILES["digest"], digest)
        write_json(folder / FILES["training"], trained.history)
        write_json(folder / COST, _cost(trained, watch))
    remove(cache.scratch)


def _cost(trained: Trained, watch: Stopwatch) -> Cost:
    """Return what a training took; it had a GPU for each of its processes, which need not be this one."""
    cost, gpus = watch.cost(), trained.history["processes"] if trained.history["device"].startswith("cuda") else 0
    return {**cost, "gpu_seconds": cost["wall_seconds"] * gpus}
