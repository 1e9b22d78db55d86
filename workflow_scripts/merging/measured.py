"""What a merge method wants to have measured on its sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from workflow_scripts.core.signatures import changed_parameters

Text = Annotated[
    Literal["sources", "target", "both"],
    Field(
        description="What is looked at: each source's own validation sentences, the target's unlabelled training "
        "sentences, or the mean of both."
    ),
]
Examples = Annotated[int, Field(ge=1, description="Sentences per model and text, drawn without replacement.")]


@dataclass(frozen=True)
class Wanted:
    """A measurement that a method asks for.

    Attributes
    ----------
    name : str
        A module in ``merging/measurements/``.
    parameters : mapping
        Its hyper-parameters.
    text : {"sources", "target", "both"}
        Whose sentences: each source's own validation split, or the target's training split without its labels.
    """

    name: str
    parameters: Mapping[str, Any]
    text: Text

    @property
    def key(self) -> str:
        """Name for people and for paths; parameters appear where they differ from their defaults."""
        return "_".join([self.name, *changed_parameters("model measurement", self.name, self.parameters)])

    def texts(self, source: str, target: str) -> list[tuple[str, str]]:
        """Return the (locale, split) pairs that it is measured on for one source."""
        own, other = (source, "validation"), (target, "train")
        return {"sources": [own], "target": [other], "both": [own, other]}[self.text]


def supervision_of(text: Text) -> str:
    """Return what a measurement on some text needs of the target."""
    return "none" if text == "sources" else "unlabelled"
