"""Gram matrices of the inputs of linear layers, where they come from: measured on sentences, or read off τ itself."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from workflow_scripts.merging.pieces import Context
from workflow_scripts.merging.streaming import Tensor, TensorFile


class Grams(Protocol):
    """The sources' Gram matrices."""

    def covers(self, tensor: Tensor) -> bool:
        """Return whether there are Gram matrices for a tensor."""

    def gram(self, source: int, tensor: Tensor, tau: np.ndarray) -> np.ndarray:
        """Return a source's Gram matrix for one of its matrices τ (shape (out, in)), float64, shape (in, in)."""

    def close(self) -> None:
        """Close what was opened."""


class MeasuredGrams:
    """XᵀX / n of the inputs of each linear layer, their off-diagonal elements times `alpha`.

    Parameters
    ----------
    context : Context
        ``measurements``: source → files, whose mean is its Gram matrix.
    alpha : float
    """

    def __init__(self, context: Context, alpha: float) -> None:
        self._alpha = alpha
        self._files: Sequence[Sequence[TensorFile]] = [
            [TensorFile(path) for path in context.measurements[name]] for name in context.names
        ]

    def covers(self, tensor: Tensor) -> bool:
        """Return whether a tensor is the weight of a linear layer."""
        return tensor.name in self._files[0][0].stored

    def gram(self, source: int, tensor: Tensor, tau: np.ndarray) -> np.ndarray:
        """Return the mean over the source's files."""
        size = tau.shape[1]
        mean, values = np.zeros(size * size), np.empty(size * size, np.float32)
        for file in self._files[source]:
            file.read(tensor.name, 0, values)
            mean += values / len(self._files[source])
        return damped(mean.reshape(size, size), self._alpha)

    def close(self) -> None:
        """Close the files."""
        for files in self._files:
            for file in files:
                file.close()


class FreeGrams:
    """τᵀτ / ‖τ‖²_F of each encoder matrix: the directions of its input space that training used, without any data.

    Parameters
    ----------
    context : Context
    """

    def __init__(self, context: Context) -> None:
        self._layout = context.layout

    def covers(self, tensor: Tensor) -> bool:
        """Return whether a tensor is a matrix of the encoder's layers."""
        return self._layout.is_encoder_matrix(tensor)

    def gram(self, source: int, tensor: Tensor, tau: np.ndarray) -> np.ndarray:
        """Return τᵀτ / ‖τ‖²; 0 where τ is 0."""
        product = tau.T @ tau
        return product / (np.trace(product) or 1.0)

    def close(self) -> None:
        """Nothing was opened."""


def damped(gram: np.ndarray, alpha: float) -> np.ndarray:
    """Multiply the off-diagonal elements by `alpha`, in place."""
    diagonal = np.diagonal(gram).copy()
    gram *= alpha
    np.fill_diagonal(gram, diagonal)
    return gram
