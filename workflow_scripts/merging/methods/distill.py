"""Distilled coefficients: the merge that predicts the target's unlabelled text as its sources do on average."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.coefficients import GRANULARITY, Granularity, merge_blocks, require_coefficients
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True


def distill(
    piece: Piece,
    *,
    granularity: Annotated[Granularity, Field(description=GRANULARITY)] = "layer_wise",
    steps: Annotated[int, Field(ge=1, description="Optimiser steps at most.")] = 200,
    batch_size: Annotated[int, Field(ge=1, description="Sentences per step.")] = 16,
    learning_rate: Annotated[float, Field(gt=0, description="Of Adam.")] = 1e-2,
    patience: Annotated[
        int, Field(ge=1, description="Judgements without a gain after which it ends; there is one every ten steps.")
    ] = 3,
) -> np.ndarray:
    """Return Σ λᵢτᵢ, with λ per source (and block) so that the merge predicts what the sources' ensemble predicts.

    λ starts at the selected weights; Adam minimises the mean of KL(p̄ ‖ p) on the target's training sentences without
    their labels, p̄ the mean of the sources' softmax and p the merged model's. A quarter of the sentences, drawn by the
    merge's seed and at most 256, is held out: λ is that of the judgement with the lowest divergence there, the start
    among them. Σ λᵢ is free. Blocks are those of `adamerging`.

    Parameters
    ----------
    piece : Piece
        ``context.coefficients``: block → λ, shape (K,).

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    After Xu et al. 2025 (arXiv 2502.12706), who distil features layer by layer and learn an element's coefficient each;
    here predictions are distilled, and there is one coefficient per source and block.
    """
    return merge_blocks(piece, granularity)


def texts(parameters: Mapping[str, Any], target: str, sources: Sequence[str]) -> list[tuple[str, str]]:
    """Return the sentences that it learns from."""
    return [(target, "train")]


def adapt(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    weights: Sequence[float],
    base: str,
    max_length: int,
    seed: int,
) -> dict[str, Any]:
    """Learn the coefficients of a merge on the target's text; see `adaptation.learn_on_target`."""
    from workflow_scripts.merging.adaptation import follow_sources, learn_on_target

    learned, divergence = learn_on_target(follow_sources, inputs, weights, parameters, base, max_length, seed)
    return {"coefficients": learned, "divergence": {"start": divergence[0], "least": min(divergence)}}


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> None:
    """Check that there are coefficients."""
    require_coefficients(context, "distill", "the target's text")


def supervision(parameters: Mapping[str, Any]) -> str:
    """Return what the method sees of the target."""
    return "unlabelled"
