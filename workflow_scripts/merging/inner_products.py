"""Inner products of the sources, per tensor, and merges that are combinations of the sources with K coefficients."""

from collections.abc import Callable, Iterator

import numpy as np

from workflow_scripts.merging.arithmetic import weighted_sum
from workflow_scripts.merging.context import Context
from workflow_scripts.merging.pieces import Piece
from workflow_scripts.merging.sources import Sources, Tensor
from workflow_scripts.merging.tensor_files import Reader

BLOCK = 1 << 15  # elements of one source per block: fixed, so that sums do not depend on the size of pieces
NEGLIGIBLE = 1e-12  # rounding of a sum of coefficients

Coefficients = dict[str, np.ndarray]  # tensor name → coefficients (float64, shape (K,))


def blocks(sources: Sources, tensor: Tensor) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (start, τ of shape (K, n)) of a tensor; the array is reused."""
    k = len(sources.files)
    buffer = np.empty(k * BLOCK, np.float32)
    for start in range(0, tensor.size, BLOCK):
        count = min(BLOCK, tensor.size - start)
        tau = buffer[: k * count].reshape(k, count)
        sources.read_all(tensor, start, tau)
        yield start, tau


def gram(sources: Sources, tensor: Tensor, base: Reader | None = None) -> np.ndarray:
    """Return ⟨τᵢ, τⱼ⟩ (float64, shape (K, K)), or with a base ⟨θ₀+τᵢ, θ₀+τⱼ⟩; what is not finite counts as 0."""
    k = len(sources.files)
    result = np.zeros((k, k))
    for start, tau in blocks(sources, tensor):
        vectors = tau.astype(np.float64)
        if base is not None:
            vectors += read_base(base, tensor, start, tau.shape[1])
        result += vectors @ vectors.T
    return np.nan_to_num(result, posinf=0.0, neginf=0.0)


def read_base(base: Reader, tensor: Tensor, start: int, count: int) -> np.ndarray:
    """Return a stretch of θ₀ (float32)."""
    values = np.empty(count, np.float32)
    base.read(tensor.name, start, values)
    return values


def coefficients(
    sources: Sources, context: Context, rule: Callable[[np.ndarray, np.ndarray], np.ndarray], with_base: bool = False
) -> Coefficients:
    """Return each tensor's coefficients.

    Parameters
    ----------
    rule : callable
        (inner products, weights) → coefficients.
    with_base : bool
        Take inner products of whole weights instead of task vectors.
    """
    base = context.base if with_base else None
    return {t.name: rule(gram(sources, t, base), context.weights) for t in sources.tensors}


def combine(piece: Piece, with_base: bool = False) -> np.ndarray:
    """Return Σ cᵢτᵢ with the coefficients in the piece's state; with a base Σ cᵢ(θ₀+τᵢ) − θ₀."""
    chosen = piece.state[piece.tensor.name]
    merged = weighted_sum(piece.tau, chosen)
    excess = chosen.sum() - 1
    if with_base and abs(excess) > NEGLIGIBLE and piece.context.base is not None:
        merged += np.float32(excess) * read_base(piece.context.base, piece.tensor, piece.start, len(merged))
    return merged
