"""What a merge did."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workflow_scripts.merging.context import Layout
from workflow_scripts.merging.sources import Tensor


@dataclass
class MergeFacts:
    """What a merge did, for its sidecar.

    Attributes
    ----------
    nonzero, elements : dict of str to int
        Per tensor: elements of the merged task vector that are not 0, and all aligned elements.
    squared_norm : dict of str to float
        Per tensor, of the merged task vector.
    moved : set of str
        Tensors that a source changed.
    """

    nonzero: dict[str, int] = field(default_factory=dict)
    elements: dict[str, int] = field(default_factory=dict)
    squared_norm: dict[str, float] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    @property
    def erased(self) -> list[str]:
        """Tensors that sources changed and the merge leaves at θ₀: trimming left no element, or none agreed."""
        return sorted(name for name in self.moved if self.nonzero[name] == 0)

    def note(self, tensor: Tensor, merged: np.ndarray) -> None:
        """Take in a piece of the merged task vector."""
        name, norm = tensor.name, float(np.dot(merged, merged))
        self.nonzero[name] = self.nonzero.get(name, 0) + int(np.count_nonzero(merged != 0))
        self.elements[name] = tensor.size
        self.squared_norm[name] = self.squared_norm.get(name, 0.0) + norm


def summarise(facts: MergeFacts, layout: Layout) -> dict[str, Any]:
    """Return density and norm per part of the model."""
    parts: dict[str, list[str]] = {"embedding": [], "encoder": [], "head": []}
    for name in facts.elements:
        parts[layout.part(name)].append(name)
    return {
        part: {
            "elements": sum(facts.elements[n] for n in names),
            "density": sum(facts.nonzero[n] for n in names) / max(1, sum(facts.elements[n] for n in names)),
            "norm": sum(facts.squared_norm[n] for n in names) ** 0.5,
        }
        for part, names in parts.items()
    }
