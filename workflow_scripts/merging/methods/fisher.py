"""Fisher merging: every element weighs as much as its model says that it matters."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import Examples, Text, Wanted, supervision_of
from workflow_scripts.merging.pieces import Context, Piece, blocks
from workflow_scripts.merging.streaming import Sources

USES_WEIGHTS = True
FLOOR = 1e-6


def fisher(
    piece: Piece,
    *,
    text: Text = "sources",
    examples: Examples = 256,
    empirical: Annotated[
        bool, Field(description="Gradients at the gold labels, not at labels drawn from the model.")
    ] = False,
) -> np.ndarray:
    """Return Σ wᵢFᵢτᵢ / Σ wᵢFᵢ per element.

    Fᵢ is the mean over examples of the squared per-example gradient of log p(ŷ), ŷ drawn from the model; divided by
    its mean over the elements that training changed, then raised to at least 1e-6.

    Parameters
    ----------
    piece : Piece
        ``state``: the sources' `Importance`.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    Matena and Raffel 2021 (arXiv 2111.09832). Elements that no example touches have F = 1e-6 in every source: there
    the result is the weighted mean. Other implementations normalise over all elements, or square the gradient of a
    batch's mean.
    """
    share = piece.state.read(piece)
    share *= piece.weights.astype(np.float32)[:, None]
    np.multiply(piece.tau, share, out=piece.tau)
    return piece.tau.sum(0) / share.sum(0)


class Importance:
    """The sources' normalised Fisher information, read piece by piece along with their task vectors.

    Parameters
    ----------
    sources : Sources
    context : Context
        ``measurements``: source → files, whose mean is its Fisher information.
    """

    def __init__(self, sources: Sources, context: Context) -> None:
        files = [context.measurements[name] for name in context.names]
        self._parts = [
            Sources([f[i] for f in files], context.names, like=sources.tensors) for i in range(len(files[0]))
        ]
        totals = np.zeros(len(files))
        for part in self._parts:
            for tensor in sources.tensors:
                for _, values in blocks(part, tensor):
                    totals += values.sum(axis=1, dtype=np.float64)
        for name, total in zip(sources.names, totals, strict=True):
            if not total > 0 or not np.isfinite(total):
                raise XlmergeError(
                    f"the Fisher information of {name} sums to {total:g}: its model predicts without any doubt; use "
                    "another method for it"
                )
        self._scale = np.array([sources.stored_elements(i) for i in range(len(files))]) / totals

    def read(self, piece: Piece) -> np.ndarray:
        """Return F for a piece's elements, float32 of ``tau``'s shape."""
        information, more = np.empty_like(piece.tau), np.empty_like(piece.tau)
        self._parts[0].read_all(piece.tensor, piece.start, information)
        for part in self._parts[1:]:
            part.read_all(piece.tensor, piece.start, more)
            information += more
        information *= self._scale.astype(np.float32)[:, None]
        return np.maximum(information, np.float32(FLOOR), out=information)

    def close(self) -> None:
        """Close the files."""
        for part in self._parts:
            part.close()


def prepare(sources: Sources, parameters: Mapping[str, Any], context: Context) -> Importance:
    """Open the measurements and find their means."""
    return Importance(sources, context)


def measurement(parameters: Mapping[str, Any]) -> Wanted:
    """Return what has to be measured on every source."""
    kept = {key: parameters[key] for key in ("examples", "empirical")}
    return Wanted("fisher", kept, parameters["text"])


def supervision(parameters: Mapping[str, Any]) -> str:
    """Return what the method sees of the target."""
    if parameters["empirical"] and parameters["text"] != "sources":
        return "labelled training"
    return supervision_of(parameters["text"])
