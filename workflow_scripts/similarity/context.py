"""What a similarity measure may look at."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Context:
    """Inputs of the measures; each measure says in ``NEEDS`` which of them it reads.

    Attributes
    ----------
    locales : list of str
        The run's locales, in order.
    languages : dict of str to dict
        Per locale: its row of the locale table (``uriel``, ``uriel_family``, ``family``, …).
    validation : ndarray of float64, shape (N, N), or None
        A_val of one seed: rows = models, columns = evaluation locales, both in the order of `locales`. Given to
        measures with ``NEEDS = "validation_matrix"``.
    """

    locales: list[str]
    languages: dict[str, dict[str, object]]
    validation: np.ndarray | None = None
