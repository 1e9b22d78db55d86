"""Layer swap: the lowest and highest encoder layers from one merge, the middle from another."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import PIVOT, ROLE, Method, inner_method
from workflow_scripts.merging.pieces import Context, Layout, Piece, Shape
from workflow_scripts.merging.streaming import Sources, Tensor

USES_WEIGHTS = True
INNER = ("outer", "middle")


@dataclass(frozen=True)
class Part:
    """One of the two merges: its method, the places of its sources among all, what it knows, its first pass."""

    method: Method
    places: list[int]
    context: Context
    state: Any


def layer_swap(
    piece: Piece,
    *,
    middle_from: Annotated[
        Literal["pivot", "all"],
        Field(
            description="`pivot`: the middle layers are the pivot's, the outer ones a merge of the other sources; "
            "`all`: both are merges of all sources."
        ),
    ] = "pivot",
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

    The outer layers come from the sources nearest to the target, their weights made to sum to 1, the middle from the
    pivot. Both merges are of the whole model, so what a method counts over the whole vector stays as it is. The
    embedding (and what else lies below the layers) goes with layer 0, the head (and what lies above) with layer L−1.
    The quarters are ⌊L/4⌋ layers each.

    Parameters
    ----------
    piece : Piece
        As the method in charge of the tensor wants it; ``state``: role → `Part`.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Bandarkar et al. 2024 (arXiv 2410.01335) take the outer layers from an expert in the target language and the middle
    from an expert in the task, trained in English, and average a few layers at the transitions; here the outer layers
    are a merge and the transition is sharp.
    """
    part = piece.state[_in_charge(piece.tensor, bottom, top, piece.context.layout)]
    return part.method(replace(piece, tau=piece.tau[part.places], context=part.context, state=part.state))


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> dict[str, Part]:
    """Return both merges with the results of their first passes."""
    layers, (bottom, top) = context.layout.layers, _bounds(parameters["bottom"], parameters["top"], context.layout)
    if not layers:
        raise XlmergeError("layer_swap needs to know the model's encoder layers")
    if not 0 <= bottom <= top <= layers:
        raise XlmergeError(f"layer_swap: need 0 ≤ bottom ≤ top ≤ {layers} layers, got bottom {bottom} and top {top}")
    places = _places(context, parameters["middle_from"])
    return {role: _part(sources, inner_method(parameters, role), places[role], context) for role in INNER}


def _places(context: Context, middle_from: str) -> dict[str, list[int]]:
    """Return role → places of its sources."""
    if middle_from == "all":
        return {role: list(range(len(context.names))) for role in INNER}
    pivot = [i for i, name in enumerate(context.names) if context.groups.get(name) == PIVOT]
    others = [i for i in range(len(context.names)) if i not in pivot]
    if len(pivot) != 1 or not context.weights[others].sum() > 0:
        raise XlmergeError(
            f"layer_swap: one source must be of the group {PIVOT!r}, and one of the others must have a weight; "
            "`middle_from: all` merges all sources for all layers"
        )
    return {"outer": others, "middle": pivot}


def _part(sources: Sources, method: Method, places: list[int], context: Context) -> Part:
    names, weights = tuple(context.names[i] for i in places), context.weights[places]
    within = replace(context, names=names, weights=weights / weights.sum() if weights.any() else np.ones(1), groups={})
    method.check_sources(len(places))
    return Part(method, places, within, method.prepare(sources.some(places), within))


def shape(tensor: Tensor, parameters: Mapping[str, Any], context: Context) -> Shape:
    """Return what the method in charge wants."""
    role = _in_charge(tensor, parameters["bottom"], parameters["top"], context.layout)
    return inner_method(parameters, role).shape(tensor, context)


def needs_base(parameters: Mapping[str, Any]) -> bool:
    """Return whether one of the methods needs θ₀."""
    return any(inner_method(parameters, role).needs_base for role in INNER)


def grouped_by(parameters: Mapping[str, Any]) -> str | None:
    """Return what it has to know of each source."""
    return ROLE if parameters["middle_from"] == "pivot" else None


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
