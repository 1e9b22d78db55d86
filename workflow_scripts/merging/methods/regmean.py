"""RegMean: linear layers merged so that their outputs stay near those of the sources."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.merging.arithmetic import weighted_sum
from workflow_scripts.merging.method import Examples, Text, Wanted, supervision_of
from workflow_scripts.merging.pieces import Context, Piece, Shape
from workflow_scripts.merging.streaming import Sources, Tensor, TensorFile

USES_WEIGHTS = True


def regmean(
    piece: Piece,
    *,
    alpha: Annotated[float, Field(ge=0, le=1, description="Factor of the off-diagonal elements of G.")] = 0.9,
    text: Text = "sources",
    examples: Examples = 256,
) -> np.ndarray:
    """Return, for a linear layer, (Σ wᵢGᵢ)⁻¹ Σ wᵢGᵢWᵢ, and Σ wᵢτᵢ for everything else.

    Gᵢ = XᵢᵀXᵢ / n is the Gram matrix of the layer's inputs in source i, its off-diagonal elements times ``alpha``; the
    equations are solved in float64. The solution is linear in Wᵢ, so it is taken of τᵢ: the same, with less rounding.

    Parameters
    ----------
    piece : Piece
        ``state``: the sources' `Grams`; a matrix is a whole tensor.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Jin et al. 2022 (arXiv 2212.09849). An input feature that is 0 in all sources says nothing about its weights: they
    are merged as Σ wᵢτᵢ.
    """
    if not piece.state.has(piece.tensor.name):
        return weighted_sum(piece.tau, piece.weights)
    left, right = piece.state.equations(piece, alpha)
    silent = np.diagonal(left) == 0
    if silent.any():
        left[silent, silent] = 1
        matrices = piece.tau.reshape(-1, *piece.tensor.shape)[:, :, silent].astype(np.float64)
        right[silent] = np.tensordot(piece.weights, matrices, 1).T
    return np.linalg.solve(left, right).T.astype(np.float32).reshape(-1)


class Grams:
    """The sources' Gram matrices.

    Parameters
    ----------
    context : Context
        ``measurements``: source → files, whose mean is its Gram matrix.
    """

    def __init__(self, context: Context) -> None:
        self._files = [[TensorFile(path) for path in context.measurements[name]] for name in context.names]

    def has(self, name: str) -> bool:
        """Return whether a tensor is the weight of a linear layer."""
        return name in self._files[0][0].stored

    def equations(self, piece: Piece, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Return Σ wᵢGᵢ, shape (in, in), and Σ wᵢGᵢτᵢᵀ, shape (in, out), in float64."""
        outputs, inputs = piece.tensor.shape
        left, right = np.zeros((inputs, inputs)), np.zeros((inputs, outputs))
        for files, weight, tau in zip(self._files, piece.weights, piece.tau, strict=True):
            gram = self._gram(files, piece.tensor.name, inputs)
            diagonal = np.diagonal(gram).copy()
            gram *= weight * alpha
            np.fill_diagonal(gram, weight * diagonal)
            left += gram
            right += gram @ tau.reshape(outputs, inputs).T
        return left, right

    def _gram(self, files: list[TensorFile], name: str, size: int) -> np.ndarray:
        mean, values = np.zeros(size * size), np.empty(size * size, np.float32)
        for file in files:
            file.read(name, 0, values)
            mean += values / len(files)
        return mean.reshape(size, size)

    def close(self) -> None:
        """Close the files."""
        for files in self._files:
            for file in files:
                file.close()


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Grams:
    """Open the measurements."""
    return Grams(context)


def shape(tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Shape:
    """Return ``"tensor"`` for what may be a linear layer's weight."""
    matrix = len(tensor.shape) == 2 and tensor.rows is None
    return "tensor" if matrix and context.layout.part(tensor.name) != "embedding" else "elementwise"


def measurement(parameters: Mapping[str, Any]) -> Wanted:
    """Return what has to be measured on every source."""
    return Wanted("gram", {"examples": parameters["examples"]}, parameters["text"])


def supervision(parameters: Mapping[str, Any]) -> str:
    """Return what the method sees of the target."""
    return supervision_of(parameters["text"])
