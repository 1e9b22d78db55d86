"""Evolved coefficients: those with which the merge does best on the target's labelled validation data."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.coefficients import GRANULARITY, Granularity, merge_blocks, require_coefficients
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True


def evolve(
    piece: Piece,
    *,
    granularity: Annotated[Granularity, Field(description=GRANULARITY)] = "task_wise",
    budget: Annotated[int, Field(ge=2, description="Merges that are tried, the start among them.")] = 50,
    step: Annotated[float, Field(gt=0, description="Standard deviation of the first steps away from the start.")] = 0.2,
) -> np.ndarray:
    """Return Σ λᵢτᵢ, with λ per source (and block) found by an evolution strategy on validation data.

    CMA-ES starts at the selected weights and looks for the most correct validation sentences of the target; of merges
    with equally many the one with the higher mean log-likelihood is better. λ is the best that was tried. Σ λᵢ is free.
    Blocks are those of `adamerging`.

    The sentences that choose λ cannot judge it. So the search is made three times: on all sentences, which gives the
    merge, and without each half of their clusters; what is stored as the merge's validation scores of a half are those
    of the merge that did not see it. Test data are never seen.

    Parameters
    ----------
    piece : Piece
        ``context.coefficients``: block → λ, shape (K,).

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    mergekit-evolve; Akiba et al. 2024 (arXiv 2403.13187). CMA-ES: Hansen's package `cma`, with a generator of the
    merge's own.
    """
    return merge_blocks(piece, granularity)


def texts(parameters: Mapping[str, Any], target: str, sources: Sequence[str]) -> list[tuple[str, str]]:
    """Return the sentences that it learns from."""
    return [(target, "validation")]


def adapt(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    weights: Sequence[float],
    base: str,
    max_length: int,
    seed: int,
) -> dict[str, Any]:
    """Learn the coefficients of a merge on validation data; see `evolution.evolve_on_target`."""
    from workflow_scripts.merging.evolution import evolve_on_target

    return evolve_on_target(inputs, weights, parameters, base, max_length, seed)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> None:
    """Check that there are coefficients."""
    require_coefficients(context, "evolve", "the target's validation data")


def supervision(parameters: Mapping[str, Any]) -> str:
    """Return what the method sees of the target."""
    return "labelled validation"
