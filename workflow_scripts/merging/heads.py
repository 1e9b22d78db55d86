"""Classification heads that did not start from θ₀'s: how much they have in common.

A fine-tune made elsewhere starts from a random head of its own, so that θ − θ₀ of the head is mostly the difference of
two random draws: trimming it or electing signs in it means nothing, and merges take the heads' weighted mean.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.merging.inner_products import gram
from workflow_scripts.merging.sources import Sources
from workflow_scripts.merging.tensor_files import Reader

OWN_HEAD = "own_head"  # in a task vector's metadata: its head did not start from θ₀'s
SAME_START = 0.5  # cosine with θ₀'s head: heads drawn apart are near 0, fine-tuning moves a head far less
ALIKE = 0.5


def head_cosines(
    sources: Sequence[Path | Reader], names: Sequence[str], base: Reader, tensors: Collection[str]
) -> list[list[float]]:
    """Return the pairwise cosines of the sources' heads (whole weights).

    Parameters
    ----------
    sources, names : sequence
        Task vectors, in the same order.
    base : Reader
        θ₀.
    tensors : collection of str
        The head's; without any there are no cosines.
    """
    if not tensors:
        return []
    opened = Sources(sources, names, {n: base.stored[n].shape for n in tensors if n in base.stored}, tensors)
    try:
        products = sum((gram(opened, tensor, base) for tensor in opened.tensors), np.zeros((len(names),) * 2))
    finally:
        opened.close()
    norms = np.sqrt(np.diag(products))
    lengths = np.outer(norms, norms)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return [[round(float(c), 6) for c in row] for row in cosines]


def little_in_common(cosines: Sequence[Sequence[float]]) -> str | None:
    """Return a warning if two heads have little in common."""
    lowest = min((c for i, row in enumerate(cosines) for c in row[i + 1 :]), default=1.0)
    if lowest >= ALIKE:
        return None
    return (
        f"the sources' heads have little in common (lowest cosine {lowest:.2f}), so their mean may classify badly: "
        "they probably started from different random heads. Fine-tune from one θ₀ with a head instead."
    )
