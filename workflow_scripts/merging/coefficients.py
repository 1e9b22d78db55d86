"""Coefficients that were learned, one per source and block of the model: what is a block, and the merge they make."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.arithmetic import weighted_sum
from workflow_scripts.merging.pieces import Context, Layout, Piece

WHOLE = "model"

Granularity = Literal["task_wise", "layer_wise"]
GRANULARITY = "One coefficient per source, or one per source and block of the model."


def block_of(name: str, granularity: Granularity, layout: Layout) -> str:
    """Return the block of the model that a tensor belongs to.

    Blocks are the encoder's layers, what comes before them (with the embedding), and the head with all that comes after
    them; with ``task_wise`` the whole model is one.
    """
    if granularity == "task_wise":
        return WHOLE
    layer = layout.layer(name)
    if layer is not None:
        return f"layer {layer}"
    return "embedding" if layout.part(name) == "embedding" or "embed" in name else "head"


def blocks_of_model(base: Any, granularity: Granularity) -> Callable[[str], str]:
    """Return tensor name → block, of the model in a folder."""
    from workflow_scripts.models.checkpoints import skeleton

    layout = Layout.of(skeleton(base))
    return lambda name: block_of(name, granularity, layout)


def merge_blocks(piece: Piece, granularity: Granularity) -> np.ndarray:
    """Return Σ λᵢτᵢ (float32, shape (n,)), λ those of the piece's block."""
    block = block_of(piece.tensor.name, granularity, piece.context.layout)
    chosen: Sequence[float] = piece.context.coefficients[block]
    return weighted_sum(piece.tau, np.asarray(chosen, np.float64))


def require_coefficients(context: Context, method: str, learned_on: str) -> None:
    """Raise an `XlmergeError` if nobody has learned coefficients."""
    if not context.coefficients:
        raise XlmergeError(f"{method} needs coefficients that were learned on {learned_on}: run it in a workflow")
