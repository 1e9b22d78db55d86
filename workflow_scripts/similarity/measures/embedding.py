"""Nearness of the locales' mean sentence embeddings in the base encoder."""

import numpy as np

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.similarity.context import MeasureContext

SUPERVISION = "unlabelled"
NEEDS = ("base", "texts")
BATCH_TOKENS = 2048


def embedding(context: MeasureContext) -> np.ndarray:
    """Return the cosine of mean embeddings, the mean over locales removed.

    A sentence's embedding is the mean of θ₀'s last hidden states over its tokens, a locale's the mean over its training
    sentences (labels unseen). Every language's embedding shares a large common part: without removing the mean over
    locales all cosines are near 1.

    Returns
    -------
    ndarray of float64, shape (N, N)
        Symmetric; rows = target, columns = source.

    Raises
    ------
    XlmergeError
        If there are fewer than three locales: two centred vectors are opposite, whatever the languages.
    """
    if len(context.locales) < 3:
        raise XlmergeError("embedding needs three or more locales")
    means = _means(context)
    centred = means - means.mean(0)
    norms = np.linalg.norm(centred, axis=1)
    return np.clip(centred @ centred.T / norms[:, None] / norms, -1, 1)


def _means(context: MeasureContext) -> np.ndarray:
    """Return each locale's mean embedding, shape (N, H)."""
    import torch

    from workflow_scripts.models.predict import one_length_batches
    from workflow_scripts.models.tokens import compact_model

    assert context.base is not None
    torch.set_num_threads(context.threads)
    compact = compact_model(context.base, [context.texts[name] for name in context.locales], context.max_length)
    means = []
    with torch.inference_mode():
        for encoded in compact.encoded:
            total = 0.0
            for batch in one_length_batches(encoded, BATCH_TOKENS):
                ids = torch.tensor([encoded[i] for i in batch], device=compact.model.device)
                states = compact.model.base_model(input_ids=ids).last_hidden_state
                total = total + states.mean(1).double().sum(0).cpu().numpy()
            means.append(total / len(encoded))
    return np.stack(means)
