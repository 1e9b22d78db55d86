"""What a merge method is called with, stretches of tensors in all sources, and what it may know beside the numbers."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workflow_scripts.merging.streaming import PIECE, Reader, Sources, Tensor

LAYER = re.compile(r"(?:^|[._])(?:layers?|h|blocks?)\.(\d+)\.")
BLOCK = 1 << 15  # elements of one source per block: fixed, so that sums do not depend on the size of pieces

Shape = Literal["elementwise", "rows", "tensor"]


def layer_index(name: str) -> int | None:
    """Return the encoder layer that a tensor belongs to, by Hugging Face's naming.

    Examples
    --------
    >>> layer_index("roberta.encoder.layer.11.output.dense.weight")
    11
    >>> layer_index("classifier.dense.weight") is None
    True
    """
    match = LAYER.search(name)
    return int(match.group(1)) if match else None


@dataclass(frozen=True)
class Layout:
    """Which tensor is what in the model.

    Attributes
    ----------
    embedding : str or None
        Name of the token embedding.
    head : frozenset of str
        Names of the classification head's tensors.
    layers : int
        Number of encoder layers.
    layer : callable
        Tensor name → index of its encoder layer, or None outside the layers.
    shapes : mapping
        Tensor name → full shape, of all of θ₀; may be empty.
    """

    embedding: str | None = None
    head: frozenset[str] = frozenset()
    layers: int = 0
    layer: Callable[[str], int | None] = layer_index
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Any) -> "Layout":
        """Return the layout of a Hugging Face encoder classifier."""
        from workflow_scripts.models.checkpoints import embedding_name

        shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        head = frozenset(name for name in shapes if not name.startswith(model.base_model_prefix + "."))
        return cls(embedding_name(model), head, model.config.num_hidden_layers, shapes=shapes)

    def restricted(self, tensors: Collection[str] | None) -> "Layout":
        """Return the layout with the shapes of some tensors only: what is merged alone is counted alone."""
        return self if tensors is None else replace(self, shapes={n: s for n, s in self.shapes.items() if n in tensors})

    def part(self, name: str) -> str:
        """Return ``"embedding"``, ``"encoder"`` or ``"head"``."""
        return "head" if name in self.head else "embedding" if name == self.embedding else "encoder"

    def is_encoder_matrix(self, tensor: Tensor) -> bool:
        """Return whether a tensor is a matrix of one of the encoder's layers."""
        inside = self.layer(tensor.name) is not None and self.part(tensor.name) == "encoder"
        return inside and len(tensor.shape) == 2 and tensor.rows is None

    def full_size(self, tensor: Tensor) -> int:
        """Return the number of elements in θ₀'s tensor, the rows that nobody changed included."""
        return prod(self.shapes[tensor.name]) if tensor.name in self.shapes else tensor.size


@dataclass(frozen=True, eq=False)
class Context:
    """One merge's circumstances.

    Attributes
    ----------
    names : tuple of str
        The sources, in alphabetical order; the rows of every `tau` are in this order.
    weights : ndarray of float64, shape (K,)
        Sum 1.
    layout : Layout
    groups : mapping
        Source → the group (family, script …) that it is merged in; empty unless a method asks for it.
    base : Reader or None
        θ₀, for methods that need more than task vectors.
    measurements : mapping
        Source → files with what the method wanted to have measured on it.
    coefficients : mapping
        Block of the model → one learned coefficient per source, for methods that adapt.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    layout: Layout = Layout()
    groups: Mapping[str, str] = field(default_factory=dict)
    base: Reader | None = None
    measurements: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    coefficients: Mapping[str, Sequence[float]] = field(default_factory=dict)


def whole_encoder_matrices(tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Shape:
    """Return ``"tensor"`` for the encoder's matrices: the ``shape`` of methods that work on these alone."""
    return "tensor" if context.layout.is_encoder_matrix(tensor) else "elementwise"


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
