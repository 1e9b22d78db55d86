"""PCB: parameter competition balancing, elements weighed by their size and their agreement with the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import divide, total
from workflow_scripts.merging.pieces import Context, Piece, blocks
from workflow_scripts.merging.streaming import Sources, Tensor
from workflow_scripts.merging.trimming import Scope, magnitude_keys, share, signed_keys, value_of_signed_key

USES_WEIGHTS = False


@dataclass
class Range:
    """One source's extremes over the whole vector: of |τ| (non-zero elements), and of what remains of b."""

    smallest: float
    largest: float
    floor: float = 0.0
    ceiling: float = 0.0


def pcb(
    piece: Piece,
    *,
    ratio: Annotated[float, Field(gt=0, le=1, description="Share of each source's elements that score.")] = 0.1,
    scaling: Annotated[float, Field(description="λ, the length of the merged task vector.")] = 1.0,
) -> np.ndarray:
    """Merge by balanced scores.

    bᵢ = exp(K·minmax|τᵢ|²) · tanh(τᵢ ⊙ Σⱼτⱼ); what lies below the k-th largest bᵢ, k = max(1, ⌊ratio·nnz⌋), is raised
    to it; sᵢ = minmax bᵢ. Merged: λ Σ sᵢτᵢ / Σ sᵢ, and 0 where no source scores. Both min–max are over the source's
    non-zero elements in the whole vector; its zeros score 0. Where all scores are equal, they are 1.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n); ``state`` holds each source's range.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Du et al. 2024 (arXiv 2410.02396). The authors' code counts zeros too, and clips the extreme 0.01 % of |τᵢ| first;
    mergekit has no counterpart.
    """
    summed = total(piece.tau)
    weight = np.zeros_like(summed)
    for tau, limits in zip(piece.tau, piece.state, strict=True):
        score = _score(tau, summed, limits, len(piece.tau))
        np.add(weight, score, out=weight)
        np.multiply(tau, score, out=tau)
    merged = total(piece.tau)
    divide(merged, weight)
    return np.multiply(merged, np.float32(scaling), out=merged)


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> list[Range]:
    """Return each source's range: a pass for |τ|, and one per source for b."""
    ranges = _magnitude_ranges(sources)
    for source, limits in enumerate(ranges):
        scope = _balances(sources, source, limits)
        top, cut = scope.thresholds(lambda nonzero, _: [1, share(parameters["ratio"], nonzero)])
        if top.nonzero:
            limits.ceiling, limits.floor = value_of_signed_key(top.key), value_of_signed_key(cut.key)
    return ranges


def _magnitude_ranges(sources: Sources) -> list[Range]:
    smallest = np.full(len(sources.files), 0xFFFFFFFF, np.uint32)
    largest = np.zeros(len(sources.files), np.uint32)
    for tensor in sources.tensors:
        for _, tau in blocks(sources, tensor):
            keys = magnitude_keys(tau)
            np.maximum(largest, keys.max(axis=1), out=largest)
            keys -= np.uint32(1)  # 0 becomes the largest integer
            np.minimum(smallest, keys.min(axis=1), out=smallest)
    smallest = np.minimum(smallest + np.uint32(1), largest)  # no element at all: 0
    return [Range(*pair) for pair in np.stack([smallest, largest], axis=1).view(np.float32).astype(float).tolist()]


def _balances(sources: Sources, source: int, limits: Range) -> Scope:
    """Return the scope of a source's b, in signed order."""
    k = len(sources.files)

    def keys(tensor: Tensor, start: int, count: int) -> np.ndarray:
        tau = np.empty((k, count), np.float32)
        sources.read_all(tensor, start, tau)
        keys = signed_keys(_balance(tau[source], total(tau), limits, k))
        keys *= tau[source] != 0
        return keys

    return Scope(sources.tensors, keys)


def _score(tau: np.ndarray, summed: np.ndarray, limits: Range, k: int) -> np.ndarray:
    balance = _balance(tau, summed, limits, k)
    scores = (balance >= np.float32(limits.floor)) & (tau != 0)
    if limits.ceiling <= limits.floor:
        return scores.astype(np.float32)
    balance -= np.float32(limits.floor)
    balance /= np.float32(limits.ceiling - limits.floor)
    return np.multiply(balance, scores, out=balance)


def _balance(tau: np.ndarray, summed: np.ndarray, limits: Range, k: int) -> np.ndarray:
    """Return b divided by exp(K), a factor that min–max removes: so nothing overflows."""
    size = np.abs(tau)
    size -= np.float32(limits.smallest)
    size /= np.float32((limits.largest - limits.smallest) or 1.0)
    np.square(size, out=size)
    size -= np.float32(1)
    size *= np.float32(k)
    np.exp(size, out=size)
    return np.multiply(size, np.tanh(tau * summed), out=size)
