"""TIES: trim each task vector, elect a sign per element, average those that agree."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.merging.sources import PIECE, Piece, Sources, Tensor
from workflow_scripts.merging.trimming import Stretch, Threshold, exact_threshold

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
    scaling: Annotated[float, Field(description="λ, the length of the merged task vector.")] = 1.0,
) -> np.ndarray:
    """Merge by trim, elect sign and disjoint merge.

    s = sgn Σ wᵢτ̂ᵢ (sgn 0 = +); λ · Σ_agree wᵢτ̂ᵢ / Σ_agree wᵢ, and 0 where no source agrees.

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
    exactly zero, and would otherwise use up the density.
    """
    tau, weights = piece.tau, piece.weights.astype(np.float32)
    for source, cuts in enumerate(piece.state):
        cut = cuts[piece.tensor.name if trim == "tensor" else None]
        cut.apply(tau[source], piece.tensor.first + piece.start)
    votes = weights if vote == "weighted" else np.ones_like(weights)
    sign = np.where(votes @ tau < 0, np.float32(-1), np.float32(1))
    tau *= sign
    np.maximum(tau, 0, out=tau)
    agreeing = weights @ (tau > 0).astype(np.float32)
    merged = weights @ tau
    np.divide(merged, agreeing, out=merged, where=agreeing > 0)
    return np.float32(scaling) * sign * merged


def prepare(sources: Sources, parameters: dict[str, Any]) -> list[dict[str | None, Threshold]]:
    """Return each source's thresholds: one for the whole vector (key None) or one per tensor."""
    density, count_all = parameters["density"], parameters["count"] == "all"
    scopes: dict[str | None, list[Tensor]] = (
        {None: sources.tensors} if parameters["trim"] == "global" else {t.name: [t] for t in sources.tensors}
    )
    return [
        {
            name: exact_threshold(lambda i=i, tensors=tensors: stretches(sources, i, tensors), density, count_all)
            for name, tensors in scopes.items()
        }
        for i in range(len(sources.files))
    ]


def stretches(sources: Sources, source: int, tensors: list[Tensor]) -> Iterator[Stretch]:
    """Yield one source's elements in canonical order; the array is reused."""
    buffer = np.empty(PIECE, np.float32)
    for tensor in tensors:
        for start in range(0, tensor.size, PIECE):
            values = buffer[: min(PIECE, tensor.size - start)]
            sources.read(source, tensor, start, values)
            yield tensor.first + start, values
