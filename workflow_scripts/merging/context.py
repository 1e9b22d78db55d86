"""What a merge method may know beside the numbers: the sources' names and weights, and the model's layout."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

import numpy as np

from workflow_scripts.merging.sources import Tensor
from workflow_scripts.merging.tensor_files import Reader

LAYER = re.compile(r"(?:^|[._])(?:layers?|h|blocks?)\.(\d+)\.")


def layer_index(name: str) -> int | None:
    """Return the encoder layer that a tensor belongs to, by Hugging Face's naming.

    Examples
    --------
    >>> layer_index("roberta.encoder.layer.11.output.dense.weight")
    11
    >>> layer_index("classifier.dense.weight") is None
    True
    """
    found = LAYER.search(name)
    return int(found.group(1)) if found else None


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
