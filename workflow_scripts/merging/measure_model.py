"""Measuring one model on one locale's sentences, everything that is loaded verified first."""

from collections.abc import Mapping
from typing import Any

import torch

from workflow_scripts.core.atomic import atomic_path, write_json
from workflow_scripts.core.costs import Stopwatch
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.seeds import derive_seed
from workflow_scripts.core.signatures import plugin_function
from workflow_scripts.data.examples import read_examples
from workflow_scripts.merging.model_text import ModelText
from workflow_scripts.models.checkpoints import load_task_vector, save_task_vector, verify_base
from workflow_scripts.models.model_cache import COST, ModelCache


def measure(
    inputs: Mapping[str, Any],
    settings: Mapping[str, Any],
    base: str,
    cache: ModelCache,
    threads: int,
    watch: Stopwatch,
) -> None:
    """Measure; store the values in a task vector's form (float32), and what `watch` says, in their cache entry.

    Parameters
    ----------
    inputs : mapping
        ``base``, ``model``, ``table``, each with its digest file.
    settings : mapping
        ``measurement``, ``parameters``, ``locale``, ``seed``, ``text``, ``split``, ``max_length``.
    base : str
        θ₀'s digest.
    cache : ModelCache
    threads : int
    watch : Stopwatch
    """
    torch.set_num_threads(threads)
    verify_base(inputs["base"], inputs["base_digest"])
    table = read_examples(inputs["table"], inputs["table_digest"])
    task_vector = load_task_vector(inputs["model"], base, inputs["model_digest"])
    keys = (settings[key] for key in ("measurement", "locale", "seed", "text", "split"))
    subject = ModelText(
        inputs["base"],
        task_vector,
        table["text"].tolist(),
        table["label"].tolist(),
        settings["max_length"],
        derive_seed("statistic", *keys),  # this word draws the sentences: another one would draw others
    )
    values = plugin_function("model measurement", settings["measurement"])(subject, **settings["parameters"])
    metadata = {"base": base, **{key: settings[key] for key in ("measurement", "locale", "seed", "text", "split")}}
    with atomic_path(cache.folder) as folder:
        folder.mkdir()
        values_file, digest_file = (folder / name for name in cache.files.values())
        write_json(folder / COST, watch.cost())
        write_digest(digest_file, save_task_vector(subject.task_vector_like(values), values_file, "float32", metadata))
