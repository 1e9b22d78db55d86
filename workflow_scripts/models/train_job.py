"""A training as a job: looked up if this very training was done before, else a fine-tune on verified inputs.

Looking up loads no torch: what trains is imported where it is used.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workflow_scripts.core.atomic import naming_full_disk, remove, write_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import derive_seed, read_digest, write_digest
from workflow_scripts.core.lookup import Entry

if TYPE_CHECKING:
    from workflow_scripts.models.training import Trained

FILES = {"model": "model.safetensors", "digest": "model.digest", "training": "training.json"}


def training_entry(settings: Mapping[str, Any], data: Mapping[str, str]) -> Entry:
    """Return the cache's place of a training.

    Parameters
    ----------
    settings : mapping
        ``cache``, and ``finetune``, ``locale``, ``seed``, ``code``.
    data : mapping
        Digests of ``base``, ``train`` and ``validation``.
    """
    made_of = {**data, **{k: settings[k] for k in ("finetune", "locale", "seed", "code")}}
    return Entry(settings["cache"], "models", made_of, settings["locale"])


def trained_digest(entry: Entry) -> str | None:
    """Return the digest of a training's model, or None without one; damage is not looked for."""
    path = entry.path / FILES["digest"]
    return read_digest(path) if path.exists() else None


def train(inputs: Mapping[str, Any], settings: Mapping[str, Any], entry: Entry, threads: int, watch: Stopwatch) -> None:
    """Train and store the model, and what `watch` says, in its cache entry.

    A rerun after a kill goes on from the last checkpoint of the attempt that it met; its cost is that of the last run.
    """
    import torch

    from workflow_scripts.data.examples import read_examples
    from workflow_scripts.models.attempts import finetune_with_retries
    from workflow_scripts.models.checkpoints import verify_base

    torch.set_num_threads(threads)
    base = verify_base(inputs["base"], inputs["base_digest"])
    tables = {n: read_examples(inputs[n], inputs[f"{n}_digest"]) for n in ("train", "validation")}
    seed = derive_seed("finetune", settings["locale"], settings["seed"])
    entry.scratch.mkdir(parents=True, exist_ok=True)
    with naming_full_disk(entry.scratch):
        trained = finetune_with_retries(
            inputs["base"],
            **tables,
            settings=settings["finetune"],
            seed=seed,
            scratch=entry.scratch,
            retries=settings["retries"],
            name=f"{settings['locale']}, seed {settings['seed']}",
        )
    metadata = {"base": base, "locale": settings["locale"], "seed": settings["seed"], "finetune": settings["finetune"]}
    store(trained, entry, metadata, watch)


def store(trained: "Trained", entry: Entry, metadata: Mapping[str, Any], watch: Stopwatch) -> None:
    """Put a finished training into its cache entry, and clear its scratch folder.

    Parameters
    ----------
    trained : Trained
    entry : Entry
    metadata : mapping
        Goes into the file: at least ``base`` (θ₀'s digest) and ``finetune`` (the settings).
    watch : Stopwatch
        Started before the training.
    """
    from workflow_scripts.models.checkpoints import save_task_vector

    cost, history = watch.cost(), trained.history
    gpus = history["processes"] if history["device"].startswith("cuda") else 0  # of other processes than this, if many
    with entry.stored({**cost, "gpu_seconds": cost["wall_seconds"] * gpus}) as folder:
        folder.mkdir()
        storage = metadata["finetune"]["storage"]
        digest = save_task_vector(trained.task_vector, folder / FILES["model"], storage, dict(metadata))
        write_digest(folder / FILES["digest"], digest)
        write_json(folder / FILES["training"], history)
    remove(entry.scratch)
