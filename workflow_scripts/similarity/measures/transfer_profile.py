"""Transfer profiles: two locales are similar if the same models do well on both."""

import numpy as np

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.similarity.context import MeasureContext

SUPERVISION = "labelled validation"
NEEDS = ("validation_matrix",)
FEWEST_LOCALES = 5  # a correlation is taken over the models of three or more others


def transfer_profile(context: MeasureContext) -> np.ndarray:
    """Return the Pearson correlation of A_val's columns s and t, over the models other than s and t.

    Returns
    -------
    ndarray of float64, shape (N, N)
        Symmetric; rows = target, columns = source; 1 on the diagonal.

    Raises
    ------
    XlmergeError
        If all other models do equally well on a locale.
    """
    assert context.validation is not None
    count = len(context.locales)
    result = np.eye(count)
    for t in range(count):
        for s in range(t):
            others = [m for m in range(count) if m not in (s, t)]
            result[t, s] = result[s, t] = _correlation(context, s, t, others)
    return result


def _correlation(context: MeasureContext, s: int, t: int, others: list[int]) -> float:
    assert context.validation is not None
    x, y = (context.validation[others, i] - context.validation[others, i].mean() for i in (s, t))
    for i, centred in ((s, x), (t, y)):
        if not centred.any():
            raise XlmergeError(
                f"transfer_profile: all other models do equally well on the validation data of {context.locales[i]}; "
                "give it more validation data or use another measure"
            )
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))
