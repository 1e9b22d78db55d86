"""AdaMerging: coefficients learned on the target's unlabelled text."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.coefficients import GRANULARITY, Granularity, merge_blocks, require_coefficients
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True


def adamerging(
    piece: Piece,
    *,
    granularity: Annotated[Granularity, Field(description=GRANULARITY)] = "task_wise",
    steps: Annotated[int, Field(ge=1, description="Optimiser steps.")] = 200,
    batch_size: Annotated[int, Field(ge=1, description="Sentences per step.")] = 16,
    learning_rate: Annotated[float, Field(gt=0, description="Of Adam.")] = 1e-3,
) -> np.ndarray:
    """Return Σ λᵢτᵢ, with λ per source (and block) learned for the target.

    λ starts at the selected weights; Adam minimises the mean entropy of the merged model's predictions on the
    target's training sentences without their labels. In each block Σ λᵢ stays what it was at the start: longer task
    vectors alone make predictions more certain, not better, so that the entropy may choose a direction but no length.
    Blocks are the encoder's layers, what comes before them (with the embedding), and the head with all that comes after
    them.

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
    from workflow_scripts.merging.adaptation import learn_on_target, lower_entropy

    learned, entropy = learn_on_target(lower_entropy, inputs, weights, parameters, base, max_length, seed)
    return {"coefficients": learned, "entropy": {"first": fmean(entropy[:10]), "last": fmean(entropy[-10:])}}


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> None:
    """Check that there are coefficients."""
    require_coefficients(context, "adamerging", "the target's text")


def supervision(parameters: Mapping[str, Any]) -> str:
    """Return what the method sees of the target."""
    return "unlabelled"
