"""Overlap of the subwords that two locales' texts use."""

import numpy as np

from workflow_scripts.similarity.context import MeasureContext

SUPERVISION = "unlabelled"
NEEDS = ("base", "texts")


def subword_overlap(context: MeasureContext) -> np.ndarray:
    """Return the Jaccard overlap of the subword types in the locales' training sentences (labels unseen).

    Returns
    -------
    ndarray of float64, shape (N, N)
        Symmetric; rows = target, columns = source.

    Notes
    -----
    LangRank (Lin et al. 2019, arXiv 1905.12688) takes the ratio of shared types to the sum of both numbers of types;
    this is shared types by types in either.
    """
    from transformers import AutoTokenizer

    from workflow_scripts.models.tokens import tokenise

    tokenizer = AutoTokenizer.from_pretrained(context.base)
    special = set(tokenizer.all_special_ids)
    types = []
    for locale in context.locales:
        tokens = tokenise(tokenizer, context.texts[locale], context.max_length)
        types.append({token for sentence in tokens for token in sentence} - special)
    return np.array([[len(t & s) / len(t | s) for s in types] for t in types])
