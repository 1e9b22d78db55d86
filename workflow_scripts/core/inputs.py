"""A job's inputs by what they are: lists by their wildcards, big files with the digests that they must have."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


def by_wildcards(files: Sequence[str], *values: Iterable[Any]) -> dict[Any, str]:
    """Return an input's files, expanded over the values of some wildcards, by these: by tuples, of one by itself.

    Examples
    --------
    >>> by_wildcards(["de-0", "de-1", "fr-0", "fr-1"], ["de", "fr"], [0, 1])["fr", 0]
    'fr-0'
    """
    keys = values[0] if len(values) == 1 else itertools.product(*values)
    return dict(zip(keys, files, strict=True))


class Stated(NamedTuple):
    """A file and the small file that states its digest: whoever loads the one verifies it by the other.

    Attributes
    ----------
    path, digest_file : str
    """

    path: str
    digest_file: str


def stated(inputs: Mapping[str, Any], kind: str) -> list[Stated]:
    """Return the inputs of a kind (``model``: inputs ``models`` and ``model_digests``), each with its digest file."""
    return [Stated(*both) for both in zip(inputs[f"{kind}s"], inputs[f"{kind}_digests"], strict=True)]
