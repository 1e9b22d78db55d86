"""SCE: select positions by variance, calculate source weights, erase the sign minority."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import disjoint_merge, mask, total
from workflow_scripts.merging.pieces import Context, Piece, blocks
from workflow_scripts.merging.streaming import Sources, Tensor
from workflow_scripts.merging.trimming import Scope, Threshold, magnitude_keys, population, share

USES_WEIGHTS = False


@dataclass(frozen=True)
class Selection:
    """The selected positions of a tensor (None: all) and each source's weight η (float64, shape (K,), sum 1)."""

    threshold: Threshold | None
    weights: np.ndarray


def sce(
    piece: Piece,
    *,
    ratio: Annotated[
        float | None, Field(gt=0, le=1, description="Share of the positions that is selected; null: select all.")
    ] = None,
    count: Annotated[
        Literal["nonzero", "all"], Field(description="Share of the positions with non-zero variance, or of all.")
    ] = "nonzero",
    minimum: Annotated[int, Field(ge=0, le=1, description="Positions selected at least; 0 as in mergekit.")] = 1,
) -> np.ndarray:
    """Merge by select, calculate, erase.

    Per tensor: τ̂ᵢ = τᵢ at the k positions of largest population variance over the sources, k = max(minimum, ⌊ratio·n⌋)
    of the n positions with non-zero variance, ties by lowest index; ηᵢ = mean τ̂ᵢ²; s = sgn Σ τ̂ᵢ (unweighted,
    sgn 0 = +). Merged: Σ_agree ηᵢτ̂ᵢ / Σ_agree ηᵢ. ``ratio: null``, the default, selects all positions, whatever their
    variance. With a ratio, what is not selected stays at θ₀ and nothing is rescaled; where all sources are equal, as
    with K = 1, nothing is selected then.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n); ``state`` holds the selection.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Wan et al. 2024 (arXiv 2408.07990), who select a tenth of the positions of models that already share most of their
    task. Variances are compared as float32 standard deviations. mergekit's
    ``select_topk`` selects nothing where ⌊ratio·n⌋ = 0 (``minimum: 0``), and everything from 1 on (``ratio: null``).
    """
    selection = piece.state[piece.tensor.name]
    _select(piece.tau, selection.threshold, piece.first)
    return disjoint_merge(piece.tau, selection.weights, vote_weighted=False)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> dict[str, Selection]:
    """Return each tensor's selection: one pass for the threshold, one for the weights."""
    return {t.name: _selection(sources, t, parameters, context) for t in sources.tensors}


def _selection(sources: Sources, tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Selection:
    threshold = _threshold(sources, tensor, parameters, context)
    squares = np.zeros(len(sources.files))
    for start, tau in blocks(sources, tensor):
        _select(tau, threshold, tensor.first + start)
        squares += np.square(tau, dtype=np.float64).sum(axis=1)
    return Selection(threshold, squares / (squares.sum() or 1.0))


def _threshold(sources: Sources, tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Threshold | None:
    ratio, minimum = parameters["ratio"], parameters["minimum"]
    if ratio is None:
        return None
    counted = population(context, [tensor], parameters["count"], whole=False)

    def keys(tensor: Tensor, start: int, count: int) -> np.ndarray:
        tau = np.empty((len(sources.files), count), np.float32)
        sources.read_all(tensor, start, tau)
        return _spread_keys(tau)

    scope = Scope([tensor], keys)
    return scope.thresholds(lambda nonzero, size: [share(ratio, counted(nonzero, size), minimum)])[0]


def _select(tau: np.ndarray, threshold: Threshold | None, first: int) -> None:
    if threshold is not None:
        mask(tau, threshold.keep(_spread_keys(tau), first))


def _spread_keys(tau: np.ndarray) -> np.ndarray:
    """Return the keys of the population standard deviation over the sources; exactly 0 where all are equal."""
    wide = tau.astype(np.float64)
    wide -= total(wide) / len(wide)
    variance = total(np.square(wide, out=wide)) / len(wide)
    return magnitude_keys(np.sqrt(variance, out=variance).astype(np.float32))
