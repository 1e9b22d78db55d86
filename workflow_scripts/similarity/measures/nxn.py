"""NXN, measured transfer: how well each source's model does on the target's data."""

import numpy as np

from workflow_scripts.similarity.context import MeasureContext

SUPERVISION = "labelled validation"
NEEDS = ("validation_matrix",)


def nxn(context: MeasureContext) -> np.ndarray:
    """Return A_val transposed: row t holds every source's accuracy on the target's validation data.

    Returns
    -------
    ndarray of float64, shape (N, N)
        Rows = target, columns = source; not symmetric.
    """
    assert context.validation is not None
    return context.validation.T.copy()
