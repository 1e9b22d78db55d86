"""Cosine of task vectors: fine-tunes that moved θ₀ in the same direction are similar."""

import contextlib

import numpy as np

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.pieces import blocks
from workflow_scripts.merging.streaming import Sources
from workflow_scripts.similarity.context import MeasureContext

SUPERVISION = "labelled training"
NEEDS = ("models",)


def task_vector_cosine(context: MeasureContext) -> np.ndarray:
    """Return cos(τₛ, τₜ), the classification head left out; all models are streamed once.

    Returns
    -------
    ndarray of float64, shape (N, N)
        Symmetric; rows = target, columns = source.

    Raises
    ------
    XlmergeError
        If a task vector is zero outside the head.
    """
    products = np.zeros((len(context.models),) * 2)
    with contextlib.closing(Sources(context.models, context.locales)) as sources:
        for tensor in (t for t in sources.tensors if t.name not in context.head):
            for _, tau in blocks(sources, tensor):
                products += (tau @ tau.T).astype(np.float64)
    norms = np.sqrt(np.diagonal(products))
    for locale, norm in zip(context.locales, norms, strict=True):
        if norm == 0:
            raise XlmergeError(f"task_vector_cosine: training changed nothing but the head of {locale}'s model")
    return np.clip(products / norms[:, None] / norms, -1, 1)
