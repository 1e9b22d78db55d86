"""Spherical interpolation of two sources, per tensor."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.merging.geometry import (
    Coefficients,
    coefficients,
    combine,
    raw_slerp_coefficients,
    sphere_coefficients,
)
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True
SOURCES = 2


def slerp(
    piece: Piece,
    *,
    space: Annotated[
        Literal["task_vector", "weights"], Field(description="Interpolate task vectors, or whole weights.")
    ] = "task_vector",
    sines: Annotated[
        Literal["unit", "raw"], Field(description="Apply the sines to unit vectors, or to the vectors as they are.")
    ] = "unit",
) -> np.ndarray:
    """Interpolate two sources on the sphere.

    Per tensor, Ω the angle between τ₁ and τ₂: direction (sin(w₁Ω)·τ₁/‖τ₁‖ + sin(w₂Ω)·τ₂/‖τ₂‖) / sin Ω, norm
    w₁‖τ₁‖ + w₂‖τ₂‖. Linear where |cos Ω| > 0.9995 or a norm is 0. With ``sines: raw`` the sines apply to τ₁ and τ₂
    themselves, whatever norm results, and a vector without length is at a right angle to the other.

    Parameters
    ----------
    piece : Piece
        ``tau`` of shape (2, n); ``state`` holds the coefficients.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Shoemake 1985. mergekit interpolates whole weights, whose directions hardly differ: there spherical and linear are
    the same to four digits; and it applies the sines to raw vectors.
    """
    return combine(piece, with_base=space == "weights")


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Coefficients:
    """Return each tensor's coefficients."""
    rule = sphere_coefficients if parameters["sines"] == "unit" else raw_slerp_coefficients
    return coefficients(sources, context, rule, with_base=parameters["space"] == "weights")


def needs_base(parameters: Mapping[str, Any]) -> bool:
    """Return whether θ₀ is needed."""
    return parameters["space"] == "weights"
