"""TIES: trim each task vector, elect a sign per element, average those that agree."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import disjoint_merge
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources
from workflow_scripts.merging.trimming import Threshold, magnitude_thresholds, share

USES_WEIGHTS = True


def ties(
    piece: Piece,
    *,
    density: Annotated[float, Field(gt=0, le=1, description="Share of each source's elements that is kept.")] = 0.2,
    trim: Annotated[
        Literal["global", "tensor"], Field(description="Trim over the whole vector (the paper) or per tensor.")
    ] = "global",
    vote: Annotated[
        Literal["weighted", "unweighted"], Field(description="Do the selected weights count in the sign election?")
    ] = "weighted",
    count: Annotated[
        Literal["nonzero", "all"],
        Field(description="`density` is a share of the non-zero elements, or of all as in the paper's code."),
    ] = "nonzero",
    normalize: Annotated[bool, Field(description="Divide by the agreeing sources' weight.")] = True,
    scaling: Annotated[float, Field(description="λ, the length of the merged task vector.")] = 1.0,
) -> np.ndarray:
    """Merge by trim, elect sign and disjoint merge.

    τ̂ᵢ: the k largest |τᵢ|, k = max(1, ⌊density·nnz⌋), ties by lowest index. s = sgn Σ wᵢτ̂ᵢ (sgn 0 = +).
    Merged: λ · Σ_agree wᵢτ̂ᵢ / Σ_agree wᵢ, and 0 where no source agrees. ``normalize: false`` leaves out the division.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n), ``weights`` of shape (K,) with sum 1; ``state`` holds the thresholds.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Yadav et al. 2023 (arXiv 2306.01708). Fractions count non-zero elements: embedding rows of tokens never seen are
    exactly zero, and would otherwise use up the density. mergekit trims per tensor, counts all elements and breaks
    ties arbitrarily: ``trim: tensor``, ``count: all``.
    """
    if density < 1:
        thresholds = piece.state[piece.tensor.name if trim == "tensor" else None]
        for values, (threshold,) in zip(piece.tau, thresholds, strict=True):
            threshold.apply(values, piece.first)
    merged = disjoint_merge(piece.tau, piece.weights, vote_weighted=vote == "weighted", normalize=normalize)
    return np.multiply(merged, np.float32(scaling), out=merged)


def prepare(
    sources: Sources, parameters: Mapping[str, Any], context: Context
) -> dict[str | None, list[list[Threshold]]]:
    """Return each source's threshold: one for the whole vector (key None) or one per tensor; none at density 1."""
    if parameters["density"] == 1:
        return {}
    return magnitude_thresholds(
        sources,
        context,
        lambda number: [share(parameters["density"], number)],
        count=parameters["count"],
        per_tensor=parameters["trim"] == "tensor",
    )
