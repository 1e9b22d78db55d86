"""Seeded noise: the control that every measure must beat."""

from typing import Annotated

import numpy as np
from pydantic import Field

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.similarity.context import MeasureContext

SUPERVISION = "none"
NEEDS = ()


def random(
    context: MeasureContext,
    *,
    draw: Annotated[int, Field(ge=0, description="Number of the draw: other numbers, other noise.")] = 0,
) -> np.ndarray:
    """Return numbers uniform in (0, 1).

    Returns
    -------
    ndarray of float64, shape (N, N)
        Rows = target, columns = source. An entry depends on its two locales, the seed of the models and the draw, not
        on which other locales a run has.
    """
    rows = [[_number(draw, context.seed, target, source) for source in context.locales] for target in context.locales]
    return np.array(rows)


def _number(*keys: str | int) -> float:
    return (derive_seed("random", *keys) + 0.5) / 2**31
