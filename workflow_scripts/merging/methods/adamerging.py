"""AdaMerging: coefficients learned on the target's unlabelled text."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.arithmetic import weighted_sum
from workflow_scripts.merging.pieces import Context, Layout, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True
WHOLE = "model"

Granularity = Literal["task_wise", "layer_wise"]


def adamerging(
    piece: Piece,
    *,
    granularity: Annotated[
        Granularity, Field(description="One coefficient per source, or one per source and block of the model.")
    ] = "task_wise",
    steps: Annotated[int, Field(ge=1, description="Optimiser steps.")] = 200,
    batch_size: Annotated[int, Field(ge=1, description="Sentences per step.")] = 16,
    learning_rate: Annotated[float, Field(gt=0, description="Of Adam.")] = 1e-3,
) -> np.ndarray:
    """Return Σ λᵢτᵢ, with λ per source (and block) learned for the target.

    λ starts at the selected weights; Adam minimises the mean entropy of the merged model's predictions on the
    target's training sentences without their labels. In each block Σ λᵢ stays what it was at the start: longer task
    vectors alone make predictions more certain, not better, so that the entropy may choose a direction but no length.
    Blocks are the encoder's layers, what comes before them (with
    the embedding), and the head with all that comes after them.

    Parameters
    ----------
    piece : Piece
        ``context.coefficients``: block → λ, shape (K,).

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Yang et al. 2023 (arXiv 2310.02575), who start at 0.3, leave Σ λᵢ free and adapt on the test data;
    here test data are never seen.
    """
    block = block_of(piece.tensor.name, granularity, piece.context.layout)
    return weighted_sum(piece.tau, np.asarray(piece.context.coefficients[block], np.float64))


def block_of(name: str, granularity: Granularity, layout: Layout) -> str:
    """Return the block of the model that a tensor belongs to."""
    if granularity == "task_wise":
        return WHOLE
    layer = layout.layer(name)
    if layer is not None:
        return f"layer {layer}"
    return "embedding" if layout.part(name) == "embedding" or "embed" in name else "head"


def adapt(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    weights: Sequence[float],
    base: str,
    max_length: int,
    seed: int,
) -> dict[str, Any]:
    """Learn the coefficients of a merge on the target's text; see `adaptation.adapt_to_target`."""
    from workflow_scripts.merging.adaptation import adapt_to_target
    from workflow_scripts.models.checkpoints import skeleton

    layout = Layout.of(skeleton(inputs["base"]))

    def block(name: str) -> str:
        return block_of(name, parameters["granularity"], layout)

    return adapt_to_target(inputs, weights, parameters, block, base, max_length, seed)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> None:
    """Check that there are coefficients.

    Raises
    ------
    XlmergeError
        If nobody has learned them.
    """
    if not context.coefficients:
        raise XlmergeError("adamerging needs coefficients that were learned on the target's text: run it in a workflow")


def supervision(parameters: Mapping[str, Any]) -> str:
    """Return what the method sees of the target."""
    return "unlabelled"
