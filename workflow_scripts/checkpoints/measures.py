"""What can be told about the sources without a pass over them: distance to θ₀ by a sample, agreement of the heads."""

from math import prod

import numpy as np

from workflow_scripts.checkpoints.models import Models
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging import workflow_merge

SAMPLE = 4096  # elements per matrix
FAR = 0.5  # a fine-tune moves an encoder by a few per cent


def encoder_distances(models: Models) -> dict[str, float]:
    """Return each source's ‖τ‖/‖θ₀‖ over a sample of the encoder's matrices; tell where it is implausibly large."""
    layout = models.architecture.layout
    square, squares = 0.0, np.zeros(len(models.names))
    for name, shape in layout.shapes.items():
        if layout.layer(name) is None or len(shape) < 2 or name in models.base.absent:
            continue
        size = prod(shape)
        values = np.empty(min(SAMPLE, size), np.float32)
        start = (size - len(values)) // 2
        for source, reader in enumerate(models.readers):
            if name in reader.stored:
                reader.read(name, start, values)
                if not np.isfinite(values).all():
                    raise XlmergeError(f"tensor {name} is not finite in {models.names[source]}")
                squares[source] += float(np.dot(values, values))
        models.base.read(name, start, values)
        square += float(np.dot(values, values))
    ratios = np.sqrt(squares / square) if square else np.zeros_like(squares)
    for name, ratio in zip(models.names, ratios, strict=True):
        if ratio > FAR:
            models.note(
                f"{name} is far from the base: ‖θ−θ₀‖/‖θ₀‖ is {ratio:.2f} in the encoder, where a fine-tune's is a few "
                "per cent. It was probably fine-tuned from another base."
            )
    return {name: round(float(ratio), 6) for name, ratio in zip(models.names, ratios, strict=True)}


def head_cosines(models: Models, tensors: frozenset[str]) -> list[list[float]]:
    """Return the pairwise cosines of the sources' heads (whole weights); tell if a pair has little in common.

    Parameters
    ----------
    models : Models
    tensors : frozenset of str
        The tensors that become the sources' mean.
    """
    cosines = workflow_merge.head_cosines(models.readers, models.names, models.base, tensors)
    if warning := workflow_merge.little_in_common(cosines):
        models.note(warning)
    return cosines
