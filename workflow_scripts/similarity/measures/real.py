"""REAL, as in the older study: how well the target's model does on each source's data."""

import numpy as np

from workflow_scripts.similarity.context import MeasureContext

SUPERVISION = "labelled training"
NEEDS = ("validation_matrix",)


def real(context: MeasureContext) -> np.ndarray:
    """Return A_val itself: row t is the target's model on every source's validation data.

    Returns
    -------
    ndarray of float64, shape (N, N)
        Rows = target, columns = source; not symmetric.
    """
    assert context.validation is not None
    return context.validation.copy()
