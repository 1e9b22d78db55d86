"""Calibrated: another method's merge, its singular values corrected for what the sources count several times."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.geometry import singular_triples
from workflow_scripts.merging.method import Method, inner_method
from workflow_scripts.merging.pieces import Context, Piece, Shape
from workflow_scripts.merging.streaming import Sources, Tensor

USES_WEIGHTS = True
INNER = ("inner",)


def calibrated(
    piece: Piece,
    *,
    inner: Annotated[str, Field(description="Method whose merge is calibrated.")] = "task_arithmetic",
    inner_parameters: Annotated[dict[str, Any] | None, Field(description="Its parameters.")] = None,
    alpha: Annotated[float, Field(gt=0, description="What a source counts at least in a direction.")] = 0.25,
) -> np.ndarray:
    """Calibrate the singular values of another method's merge.

    Per encoder matrix: τ = Σᵣ σᵣuᵣvᵣᵀ is the inner merge, aᵣ = uᵣᵀτ and aᵣⁱ = uᵣᵀτᵢ what it and source i do along uᵣ.
    ⟨aᵣ, aᵣⁱ⟩/‖aᵣⁱ‖² is how often the merge holds what source i does there: more than once, where sources share a
    direction and add up. σᵣ becomes σᵣ·K / Σᵢ max(α, ⟨aᵣ, aᵣⁱ⟩/‖aᵣⁱ‖²). A source that does nothing along uᵣ counts α.
    All other tensors: the inner merge.

    Parameters
    ----------
    piece : Piece
        A whole encoder matrix, or a piece as the inner method wants it; ``state``: the method and its first pass.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    arXiv 2602.05536. The length of the inner merge hardly counts: it cancels where no source is below α.
    """
    method, state = piece.state
    if not piece.context.layout.is_encoder_matrix(piece.tensor):
        return method(replace(piece, state=state))
    merged = method(replace(piece, tau=piece.tau.copy(), state=state))
    matrices = [tau.reshape(piece.tensor.shape).astype(np.float64) for tau in piece.tau]
    return _calibrate(merged.reshape(piece.tensor.shape), matrices, alpha).astype(np.float32).reshape(-1)


def _calibrate(merged: np.ndarray, matrices: Sequence[np.ndarray], alpha: float) -> np.ndarray:
    left, sigma, right = singular_triples(merged)
    along = sigma[:, None] * right.T
    counts = np.zeros(len(sigma))
    for matrix in matrices:
        inside = left.T @ matrix
        square = np.einsum("ij,ij->i", inside, inside)
        share = np.divide(np.einsum("ij,ij->i", along, inside), square, out=np.zeros_like(square), where=square > 0)
        counts += np.maximum(alpha, share)
    return left * (sigma * len(matrices) / counts) @ right.T


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> tuple[Method, Any]:
    """Return the inner method with the result of its first pass."""
    method = inner_method(parameters, "inner")
    method.check_sources(len(context.names))
    return method, method.prepare(sources, context)


def shape(tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Shape:
    """Return ``"tensor"`` for the encoder's matrices, and what the inner method wants for the rest."""
    if context.layout.is_encoder_matrix(tensor):
        return "tensor"
    return inner_method(parameters, "inner").shape(tensor, context)


def needs_base(parameters: Mapping[str, Any]) -> bool:
    """Return whether the inner method needs θ₀."""
    return inner_method(parameters, "inner").needs_base


def check(parameters: Mapping[str, Any]) -> None:
    """Raise an `XlmergeError` if the inner method does not work on pieces."""
    if inner_method(parameters, "inner").combines:
        raise XlmergeError(f"calibrated: inner cannot be {parameters['inner']}, which is made of other merges")
