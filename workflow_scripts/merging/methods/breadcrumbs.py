"""Model breadcrumbs: drop the largest and the smallest elements of each tensor, then task arithmetic."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import mask, task_sum
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources
from workflow_scripts.merging.trimming import Threshold, magnitude_keys, magnitude_thresholds, share

USES_WEIGHTS = True


def breadcrumbs(
    piece: Piece,
    *,
    density: Annotated[float, Field(gt=0, le=1, description="Share of each tensor's elements that is left.")] = 0.9,
    gamma: Annotated[float, Field(ge=0, lt=1, description="Share of the largest elements that is dropped.")] = 0.01,
    count: Annotated[
        Literal["nonzero", "all"],
        Field(description="Shares of the non-zero elements, or of all as in the paper's code."),
    ] = "nonzero",
    minimum: Annotated[int, Field(ge=0, le=1, description="Elements left at least; 0 as in mergekit.")] = 1,
    scaling: Annotated[float, Field(description="λ, the factor of the sum of the task vectors.")] = 0.3,
) -> np.ndarray:
    """Merge by trimming both ends, then task arithmetic.

    Per source and tensor, by magnitude (equal ones by index, the lowest first): the ⌊gamma·nnz⌋ largest are dropped,
    the next k = max(minimum, ⌊density·nnz⌋) kept, the rest dropped. Where less than k would be left, less of the
    largest are dropped. Merged: λ Σ K·wᵢ·τ̂ᵢ.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n), ``weights`` of shape (K,) with sum 1; ``state`` holds the thresholds.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Davari et al. 2023 (arXiv 2312.06795). With ``count: all``, as in mergekit, the zeros of a sparse embedding count:
    then gamma of all elements may be all that are not zero.
    """
    for values, (dropped, kept) in zip(piece.tau, piece.state[piece.tensor.name], strict=True):
        keys = magnitude_keys(values)
        keep = kept.keep(keys, piece.first)
        keep &= ~dropped.keep(keys, piece.first)
        mask(values, keep)
    return task_sum(piece.tau, piece.weights, scaling)


def prepare(
    sources: Sources, parameters: Mapping[str, Any], context: Context
) -> dict[str | None, list[list[Threshold]]]:
    """Return each tensor's and source's thresholds: above the first is dropped, above the second kept."""

    def ranks(number: int) -> Sequence[int]:
        kept = share(parameters["density"], number, parameters["minimum"])
        dropped = min(int(parameters["gamma"] * number), max(0, number - kept))
        return [dropped, dropped + kept]

    return magnitude_thresholds(sources, context, ranks, count=parameters["count"], per_tensor=True)
