"""DELLA: drop small elements more often than large ones, elect a sign, sum those that agree."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.arithmetic import disjoint_merge, mask
from workflow_scripts.merging.dropping import RESCALE, Dropping, Rescale, find_dropping, restore_norms
from workflow_scripts.merging.pieces import Context, Piece
from workflow_scripts.merging.streaming import Sources
from workflow_scripts.merging.trimming import magnitude_keys

USES_WEIGHTS = True
SHAPE = "rows"
RESOLUTION = 1 << 16


def della(
    piece: Piece,
    *,
    density: Annotated[float, Field(gt=0, lt=1, description="Mean probability of being kept.")] = 0.5,
    epsilon: Annotated[
        float,
        Field(ge=0, lt=0.5, description="The largest of a row is kept with density + epsilon, the smallest with −."),
    ] = 0.1,
    count: Annotated[
        Literal["nonzero", "all"], Field(description="Rank the non-zero elements of a row, or all as mergekit does.")
    ] = "nonzero",
    normalize: Annotated[bool, Field(description="Divide by the agreeing sources' weight, as TIES does.")] = False,
    rescale: Annotated[Rescale, Field(description=RESCALE)] = "probability",
    seed: Annotated[int, Field(description="Seed of the random masks.")] = 0,
    scaling: Annotated[float, Field(description="λ, the length of the merged task vector.")] = 1.0,
) -> np.ndarray:
    """Merge by drop by magnitude, rescale, elect sign and disjoint sum.

    Within each row (a vector is one row) the element of rank r = 0 … m−1, from the smallest magnitude up, is kept with
    probability p = density − epsilon + 2·epsilon·r/(m−1) (m = 1: density) and divided by p (or see ``rescale``). Equal
    magnitudes rank by index: the lowest index highest. Then as `dare_ties`: λ Σ_agree wᵢτ̃ᵢ.

    Parameters
    ----------
    piece : Piece
        Whole rows: ``tau`` of shape (K, n), ``weights`` of shape (K,) with sum 1; ``state`` makes the masks.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Deep et al. 2024 (arXiv 2406.11617), whose ε is the whole width of the range of probabilities, from p − ε/2 in steps
    of ε/m: here ``epsilon`` is half of it, as in mergekit, and the mean over a row is exactly ``density``. They divide
    the sum by the number of sources that agree, as TIES does (``normalize: true``, by weight); the default does not:
    dividing each element by its probability has made up for what was dropped already. Probabilities
    are multiples of 2⁻¹⁶, and an element is divided by exactly the one it was drawn with. mergekit rescales to the
    tensor's L1 norm, and its default epsilon is 0.15.
    """
    _drop(piece, density, epsilon, count == "all", divide=rescale == "probability")
    restore_norms(piece)
    merged = disjoint_merge(piece.tau, piece.weights, normalize=normalize)
    return np.multiply(merged, np.float32(scaling), out=merged)


def _drop(piece: Piece, density: float, epsilon: float, count_all: bool, divide: bool) -> None:
    tensor = piece.tensor
    width = tensor.width if len(tensor.shape) > 1 else tensor.size
    for source, values in enumerate(piece.tau):
        cuts = _cuts(magnitude_keys(values).reshape(-1, width), density, epsilon, count_all)
        random = piece.state.masks.integers(source, tensor, piece.start, len(values), np.uint16)
        mask(values, random < cuts)
        if divide:
            np.multiply(values, np.float32(RESOLUTION) / cuts, out=values)


def _cuts(keys: np.ndarray, density: float, epsilon: float, count_all: bool) -> np.ndarray:
    """Return each element's probability in units of 1/RESOLUTION (uint16, flat) from magnitude keys (rows, width)."""
    rows, width = keys.shape
    places = np.arange(width, dtype=np.uint64)
    packed = keys.astype(np.uint64) << np.uint64(32) | places[::-1]
    packed.sort(axis=1)
    positions = width - 1 - (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    positions += np.arange(0, rows * width, width)[:, None]
    zeros = np.zeros((rows, 1)) if count_all else width - np.count_nonzero(keys, axis=1)[:, None]
    steps = 2 * epsilon / np.maximum(1, width - zeros - 1)
    start = np.where(width - zeros > 1, density - epsilon, density)
    probabilities = start + (places - zeros) * steps
    cuts = np.empty(rows * width, np.uint16)
    cuts[positions.reshape(-1)] = np.clip(np.rint(probabilities * RESOLUTION), 1, RESOLUTION - 1).reshape(-1)
    return cuts


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Dropping:
    """Return the random masks, and what restores norms."""
    density, epsilon, count_all = parameters["density"], parameters["epsilon"], parameters["count"] == "all"

    def drop(piece: Piece) -> None:
        _drop(piece, density, epsilon, count_all, divide=False)

    return find_dropping(sources, parameters, context, drop, "rows")


def check(parameters: Mapping[str, Any]) -> None:
    """Raise an `XlmergeError` if a probability would not lie between 0 and 1."""
    density, epsilon = parameters["density"], parameters["epsilon"]
    if density - epsilon <= 0 or density + epsilon >= 1:
        raise XlmergeError(f"della: density ± epsilon must lie between 0 and 1, got {density} ± {epsilon}")
