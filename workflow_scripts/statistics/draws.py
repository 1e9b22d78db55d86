"""Seeded draws that all comparisons of a run share, and sums over all sign patterns."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from workflow_scripts.core.digests import derive_seed

DRAWS = 10_000
CHUNK = 1_000  # draws that are held at a time
EXACT = 20  # up to so many differences, all sign patterns are enumerated


@lru_cache(maxsize=1)  # as large as a test set has clusters
def signs(columns: int) -> np.ndarray:
    """Return random signs, float32, shape (DRAWS, columns)."""
    rng = np.random.default_rng(derive_seed("statistics", "signs", columns))
    return rng.integers(0, 2, (DRAWS, columns), dtype=np.int8).astype(np.float32) * 2 - 1


def resamples(kind: str, size: int) -> Iterator[np.ndarray]:
    """Yield how often each of `size` units is drawn, DRAWS times, in chunks of float32, shape (CHUNK, size).

    Parameters
    ----------
    kind : str
        What is drawn; different kinds are independent.
    size : int
        Number of units, and of draws with replacement.
    """
    rng = np.random.default_rng(derive_seed("statistics", kind, size))
    offsets = np.arange(CHUNK)[:, None] * size
    for _ in range(DRAWS // CHUNK):
        drawn = rng.integers(0, size, (CHUNK, size)) + offsets
        yield np.bincount(drawn.ravel(), minlength=CHUNK * size).reshape(CHUNK, size).astype(np.float32)


def all_sums(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Σᵢ cᵢ for all 2ᵏ ways to take each cᵢ from `first` or `second`, both of shape (k,)."""
    sums = np.zeros(1)
    for one, other in zip(first, second, strict=True):
        sums = np.concatenate([sums + one, sums + other])
    return sums
