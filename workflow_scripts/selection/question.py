"""What a selector is asked, and the order and weights of its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workflow_scripts.core.errors import XlmergeError

Choice = list[tuple[str, float]]  # (source, weight), best first; weights ≥ 0 with sum 1


@dataclass(frozen=True)
class Question:
    """A question for k sources of one target and seed.

    Attributes
    ----------
    target : str
    candidates : mapping
        Candidate locale → similarity to the target; with IncTar the target itself is among them.
    k : int
        Number of sources.
    forced : sequence of str
        Candidates that must be among them: the target itself with IncTar, else none.
    matrix : mapping
        Target → source → similarity, of all locales.
    seed : int
        The seed of the models.
    pivot : str
        The run's pivot locale.
    greedy : sequence of str
        The sources that a greedy search took, in its order; for selectors with ``NEEDS_GREEDY``.
    """

    target: str
    candidates: Mapping[str, float]
    k: int
    forced: Sequence[str] = ()
    matrix: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seed: int = 0
    pivot: str = ""
    greedy: Sequence[str] = ()

    @property
    def free(self) -> dict[str, float]:
        """The candidates that are not forced, with their similarities."""
        return {name: value for name, value in self.candidates.items() if name not in self.forced}

    @property
    def wanted(self) -> int:
        """How many of the free candidates to choose."""
        return self.k - len(self.forced)

    def values_of(self, chosen: Sequence[str], free: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the values of forced and chosen sources, largest first, names breaking ties.

        Parameters
        ----------
        chosen : sequence of str
        free : mapping, optional
            Values of the free candidates; default: their similarities.
        """
        given = self.free if free is None else free
        values = {**{n: self.candidates[n] for n in self.forced}, **{n: given[n] for n in chosen}}
        return {name: values[name] for name in sorted(values, key=lambda n: (-values[n], n))}

    def require(self, chosen: Sequence[str], why: str) -> None:
        """Raise an `XlmergeError` if fewer sources were found than wanted."""
        if len(chosen) < self.wanted:
            raise XlmergeError(f"{self.target}: {why}; ask for fewer sources (`num_languages`)")


def ranked(similarity: Mapping[str, float]) -> list[str]:
    """Return the candidates, most similar first; ties break by locale name."""
    return sorted(similarity, key=lambda name: (-similarity[name], name))


def proportional(values: Mapping[str, float]) -> Choice:
    """Return weights proportional to the values: negative ones weigh 0, and if none is positive all weigh the same."""
    clipped = {name: max(0.0, value) for name, value in values.items()}
    total = sum(clipped.values())
    if total == 0:
        return [(name, 1 / len(clipped)) for name in clipped]
    return [(name, value / total) for name, value in clipped.items()]
