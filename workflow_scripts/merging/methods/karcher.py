"""Weighted Karcher mean on the sphere, per tensor, of any number of sources."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.merging.geometry import Coefficients, coefficients, combine, sphere_coefficients
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True


def karcher(
    piece: Piece,
    *,
    space: Annotated[
        Literal["task_vector", "weights"], Field(description="Average task vectors, or whole weights.")
    ] = "task_vector",
    parallel: Annotated[
        float, Field(ge=0, le=1, description="Linear where |cos| is above it for all pairs; 1: never.")
    ] = 0.9995,
) -> np.ndarray:
    """Average directions on the sphere.

    Per tensor: the unit vector that minimises Σ wᵢ·angle(u, τᵢ)², with norm Σ wᵢ‖τᵢ‖. Linear where |cos| > parallel for
    all pairs of sources; a source with norm 0 has no direction and only shortens. For K = 2 this is `slerp`.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (K, n); ``state`` holds the coefficients.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    arXiv 2603.04972. The mean lies in the span of the sources, so it is found from their K × K inner products.
    mergekit's ``karcher`` takes whole weights, the base model among them, without selected weights; it is never linear.
    """
    return combine(piece, with_base=space == "weights")


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Coefficients:
    """Return each tensor's coefficients."""
    rule = partial(sphere_coefficients, parallel=parameters["parallel"])
    return coefficients(sources, context, rule, with_base=parameters["space"] == "weights")


def needs_base(parameters: Mapping[str, Any]) -> bool:
    """Return whether θ₀ is needed."""
    return parameters["space"] == "weights"
