"""What a similarity measure may look at, and from there to its matrix file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.core import registry
from workflow_scripts.core.matrices import write_matrix
from workflow_scripts.core.signatures import plugin_function

HEAVY = {"models", "base", "texts"}  # what only a submitted job reads


@dataclass(frozen=True)
class MeasureContext:
    """Inputs of the measures; each measure says in ``NEEDS`` which of them it reads, beside the locales and the seed.

    Attributes
    ----------
    locales : list of str
        The run's locales, in order.
    languages : dict of str to dict
        ``"languages"``: per locale its row of the locale table (``uriel``, ``uriel_family``, ``family``, …).
    validation : ndarray of float64, shape (N, N), or None
        ``"validation_matrix"``: A_val of one seed, rows = models, columns = evaluation locales, both in the order of
        `locales`.
    seed : int
        The run's seed that the models belong to.
    models : sequence of Path
        ``"models"``: the locales' task vectors.
    head : frozenset of str
        ``"models"``: names of the classification head's tensors.
    base : Path or None
        ``"base"``: θ₀'s folder.
    texts : mapping
        ``"texts"``: locale → its training sentences, without labels.
    max_length : int
        Longer sentences are cut to so many tokens.
    threads : int
    """

    locales: list[str]
    languages: dict[str, dict[str, object]]
    validation: np.ndarray | None = None
    seed: int = 0
    models: Sequence[Path] = ()
    head: frozenset[str] = frozenset()
    base: Path | None = None
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    max_length: int = 128
    threads: int = 1


def write_similarity(
    context: MeasureContext, outputs: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a measure's matrix (rows = target, columns = source); return facts for the sidecar."""
    import pandas as pd

    module = registry.load("similarity measure", settings["measure"])
    values = plugin_function("similarity measure", settings["measure"])(context, **settings["parameters"])
    matrix = pd.DataFrame(values, context.locales, context.locales).rename_axis("target")
    write_matrix(matrix, outputs["matrix"])
    return {"supervision": module.SUPERVISION, **(module.facts(context) if hasattr(module, "facts") else {})}
