"""What a merge method is called with: stretches of tensors in all sources."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workflow_scripts.merging.context import Context
from workflow_scripts.merging.sources import PIECE, Sources, Tensor

Shape = Literal["elementwise", "rows", "tensor"]


@dataclass
class Piece:
    """A stretch of one tensor in all sources.

    Attributes
    ----------
    tau : ndarray of float32, shape (K, n)
        Task vectors' elements; a method may overwrite it.
    tensor : Tensor
    start : int
        Flat position of the first element within the aligned tensor.
    context : Context
    state : object
        What the method's ``prepare`` returned, or None.
    """

    tau: np.ndarray
    tensor: Tensor
    start: int
    context: Context
    state: Any = None

    @property
    def weights(self) -> np.ndarray:
        """The sources' weights (float64, shape (K,), sum 1)."""
        return self.context.weights

    @property
    def first(self) -> int:
        """Position of the first element in the canonical order of all elements."""
        return self.tensor.first + self.start


def pieces(sources: Sources, context: Context, shape: Callable[[Tensor], Shape], state: Any = None) -> Iterator[Piece]:
    """Yield all elements in canonical order; the memory of `tau` is reused from piece to piece.

    Parameters
    ----------
    shape : callable
        Tensor → what its pieces are: any stretches, stretches of whole rows (a vector is one row), or all of it.
    """
    k = len(sources.files)
    buffer = np.empty(k * PIECE, np.float32)
    for tensor in sources.tensors:
        step = _step(tensor, shape(tensor))
        room = buffer if k * step <= buffer.size else np.empty(k * step, np.float32)
        for start in range(0, tensor.size, step):
            count = min(step, tensor.size - start)
            tau = room[: k * count].reshape(k, count)
            sources.read_all(tensor, start, tau)
            yield Piece(tau, tensor, start, context, state)


def _step(tensor: Tensor, shape: Shape) -> int:
    if shape == "tensor" or (shape == "rows" and len(tensor.shape) < 2):
        return max(1, tensor.size)
    if shape == "rows" or tensor.width <= PIECE:
        return max(1, PIECE // max(1, tensor.width)) * max(1, tensor.width)
    return PIECE
