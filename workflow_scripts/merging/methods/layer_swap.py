"""Layer swap: the lowest and highest encoder layers from one merge, the middle from another."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import Method, inner_method
from workflow_scripts.merging.pieces import Context, Layout, Piece, Shape
from workflow_scripts.merging.streaming import Sources, Tensor

USES_WEIGHTS = True
INNER = ("outer", "middle")


def layer_swap(
    piece: Piece,
    *,
    outer: Annotated[str, Field(description="Method of the lowest and highest layers.")] = "similarity",
    outer_parameters: Annotated[dict[str, Any] | None, Field(description="Its parameters.")] = None,
    middle: Annotated[str, Field(description="Method of the layers between.")] = "average",
    middle_parameters: Annotated[dict[str, Any] | None, Field(description="Its parameters.")] = None,
    bottom: Annotated[
        int | None, Field(ge=0, description="Layers below this one are the lowest; null: the first quarter.")
    ] = None,
    top: Annotated[
        int | None, Field(ge=0, description="Layers from this one on are the highest; null: the last quarter.")
    ] = None,
) -> np.ndarray:
    """Take encoder layers [0, bottom) and [top, L) from one merge, the middle from another.

    Both merges are of the whole model, so what a method counts over the whole vector stays as it is. The embedding (and
    what else lies below the layers) goes with layer 0, the head (and what lies above) with layer L−1. The quarters are
    ⌊L/4⌋ layers each.

    Parameters
    ----------
    piece : Piece
        As the method in charge of the tensor wants it; ``state`` holds both methods and their states.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Bandarkar et al. 2024 (arXiv 2410.01335) take the outer layers from a language expert and the middle from a task
    expert, and average a few layers at the transitions; here both are merges and the transition is sharp.
    """
    method, state = piece.state[_in_charge(piece.tensor, bottom, top, piece.context.layout)]
    return method(replace(piece, state=state))


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> dict[str, tuple[Method, Any]]:
    """Return both methods with the results of their first passes."""
    layers, (bottom, top) = context.layout.layers, _bounds(parameters["bottom"], parameters["top"], context.layout)
    if not layers:
        raise XlmergeError("layer_swap needs to know the model's encoder layers")
    if not 0 <= bottom <= top <= layers:
        raise XlmergeError(f"layer_swap: need 0 ≤ bottom ≤ top ≤ {layers} layers, got bottom {bottom} and top {top}")
    methods = {role: inner_method(parameters, role) for role in INNER}
    for method in methods.values():
        method.check_sources(len(context.names))
    return {role: (method, method.prepare(sources, context)) for role, method in methods.items()}


def shape(tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Shape:
    """Return what the method in charge wants."""
    role = _in_charge(tensor, parameters["bottom"], parameters["top"], context.layout)
    return inner_method(parameters, role).shape(tensor, context)


def needs_base(parameters: Mapping[str, Any]) -> bool:
    """Return whether one of the methods needs θ₀."""
    return any(inner_method(parameters, role).needs_base for role in INNER)


def check(parameters: Mapping[str, Any]) -> None:
    """Raise an `XlmergeError` if a method does not work on pieces, or the middle ends below where it begins."""
    bottom, top = parameters["bottom"], parameters["top"]
    if bottom is not None and top is not None and bottom > top:
        raise XlmergeError(f"layer_swap: bottom {bottom} lies above top {top}")
    for role in INNER:
        if inner_method(parameters, role).combines:
            raise XlmergeError(f"layer_swap: {role} cannot be {parameters[role]}, which is made of other merges")


def _in_charge(tensor: Tensor, bottom: int | None, top: int | None, layout: Layout) -> str:
    """Return the role of the method that merges a tensor."""
    low, high = _bounds(bottom, top, layout)
    layer = layout.layer(tensor.name)
    if layer is None:
        below = layout.part(tensor.name) == "embedding" or "embed" in tensor.name
        layer = 0 if below else layout.layers - 1
    return "middle" if low <= layer < high else "outer"


def _bounds(bottom: int | None, top: int | None, layout: Layout) -> tuple[int, int]:
    quarter = layout.layers // 4
    return quarter if bottom is None else bottom, layout.layers - quarter if top is None else top
