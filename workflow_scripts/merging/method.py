"""A merge method with its hyper-parameters, ready for the engine.

A method is one module in ``merging/methods/``:

- the function that bears its name, called with a `Piece` and the hyper-parameters, returns the merged elements
  (float32); a *combinator* is called with a `Merge` instead and returns the merge that remains to be done;
- ``USES_WEIGHTS``: does the result depend on the selected weights?
- ``SHAPE``: ``"elementwise"`` (the default), ``"rows"``, ``"tensor"``: what pieces it needs, for every tensor alike, or
  a function ``shape(tensor, parameters, context)``; ``"merge"`` for a combinator;
- ``prepare(sources, parameters, context)``, optional: a first pass whose result every piece gets as ``state``;
- ``check(parameters)``, optional: raises `XlmergeError` for values that do not go together;
- ``SOURCES``, optional: the number of sources it takes;
- ``INNER``, optional: names of its parameters that name methods, their parameters being in ``{name}_parameters``; one
  that is None names none;
- ``BY_SOURCE``, optional: its parameter whose keys are names of sources; of those that a merge lacks it makes nothing;
- ``needs_base(parameters)``, optional: does it read θ₀?
- ``grouped_by(parameters)``, optional: what it has to know of each source, the source's group: ``"family"``, say, or
  ``"role"``, the pivot being of the group ``"pivot"``; None: nothing;
- ``measurement(parameters)``, optional: what has to be measured on each source (see `Wanted`);
- ``texts(parameters, target, sources)``, optional: the sentences that it looks at while it merges: (locale, split);
- ``adapt(parameters, inputs, weights, base, max_length, seed)``, optional: learns its coefficients from them;
- ``measure(parameters, inputs, entry, base, max_length, seed, folder)``, optional: measures with them what depends on
  the merge itself; returns source → file;
- ``supervision(parameters)``, optional: what the method itself sees of the target; default ``"none"``.

Every method takes ``scaling``, λ of the merged task vector: the functions whose definition has a λ declare it, for the
others it is applied last to what they return.
What `prepare` returns is closed at the end if it has a method ``close``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from workflow_scripts.core import registry
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.signatures import (
    changed_parameters,
    left_to_caller,
    parameter_model,
    parameters,
    plugin_function,
)
from workflow_scripts.core.validation import describe
from workflow_scripts.merging.pieces import Context, Shape
from workflow_scripts.merging.streaming import Reader, Sources, Tensor

Text = Annotated[
    Literal["sources", "target", "both"],
    Field(
        description="What is looked at: each source's own validation sentences, the target's unlabelled training "
        "sentences, or the mean of both."
    ),
]
Examples = Annotated[int, Field(ge=1, description="Sentences per model and text, drawn without replacement.")]

SCALING = "scaling"
COMMON = {
    SCALING: (
        Annotated[float, Field(description="λ, applied last: the merged task vector is multiplied by it.")],
        1.0,
    )
}


ROLE, PIVOT = "role", "pivot"  # a grouping of the sources, and its group that holds the pivot alone


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


@dataclass(frozen=True)
class Merge:
    """A merge to be done: what a combinator takes and returns.

    Attributes
    ----------
    sources : tuple of Path or Reader
        The sources' task vectors.
    context : Context
    method : str
    parameters : mapping
    folder : Path
        For intermediate task vectors.
    tensors : frozenset of str or None
        The tensors to be merged; None: all.
    """

    sources: tuple[Path | Reader, ...]
    context: Context
    method: str
    parameters: Mapping[str, Any]
    folder: Path
    tensors: frozenset[str] | None = None


@dataclass(frozen=True)
class Step:
    """One method over some of the model's tensors.

    Attributes
    ----------
    method : str
    parameters : mapping
        Its hyper-parameters; missing ones take their defaults.
    weights : tuple of float
        One per source, 0 or more, sum 1.
    tensors : frozenset of str or None
        None: all tensors that no other step names.
    raw : bool
        The weights are any numbers; only for methods that are linear in them.
    """

    method: str
    parameters: Mapping[str, Any]
    weights: tuple[float, ...]
    tensors: frozenset[str] | None = None
    raw: bool = False


@dataclass(frozen=True)
class Method:
    """A method's function and module with all its parameters; make one with `load_method`.

    Attributes
    ----------
    name : str
    function : callable
    module : module
    settings : dict
    factor : float
        What the merged elements are multiplied by, last: λ where the function does not apply it itself.
    """

    name: str
    function: Callable[..., Any]
    module: ModuleType
    settings: dict[str, Any]
    factor: float = 1.0

    @property
    def inner(self) -> "dict[str, Method]":
        """The methods that its parameters name, by parameter."""
        roles = [role for role in getattr(self.module, "INNER", ()) if self.settings[role] is not None]
        return {role: inner_method(self.settings, role) for role in roles}

    @property
    def named_sources(self) -> list[str]:
        """The sources that its parameters name."""
        return list(self.settings.get(getattr(self.module, "BY_SOURCE", ""), None) or {})

    @property
    def combines(self) -> bool:
        """Whether it is made of other merges."""
        return getattr(self.module, "SHAPE", None) == "merge"

    @property
    def needs_base(self) -> bool:
        """Whether it reads θ₀."""
        return hasattr(self.module, "needs_base") and self.module.needs_base(self.settings)

    @property
    def measurement(self) -> Wanted | None:
        """What has to be measured on each source, if anything."""
        return self.module.measurement(self.settings) if hasattr(self.module, "measurement") else None

    @property
    def adapts(self) -> bool:
        """Whether its coefficients are learned."""
        return hasattr(self.module, "adapt")

    @property
    def needs_data(self) -> bool:
        """Whether it needs more than weights: measurements, or sentences while it merges."""
        return self.measurement is not None or bool(self.texts("", [""]))

    def texts(self, target: str, sources: Sequence[str]) -> list[tuple[str, str]]:
        """Return the sentences that it looks at while it merges: (locale, split)."""
        return self.module.texts(self.settings, target, sources) if hasattr(self.module, "texts") else []

    @property
    def supervision(self) -> str:
        """What the method itself sees of the target."""
        return self.module.supervision(self.settings) if hasattr(self.module, "supervision") else "none"

    @property
    def grouped_by(self) -> str | None:
        """What it groups its sources by, if it does."""
        return self.module.grouped_by(self.settings) if hasattr(self.module, "grouped_by") else None

    def adapt(
        self, inputs: Mapping[str, Any], weights: Sequence[float], base: str, max_length: int, seed: int
    ) -> dict[str, Any]:
        """Learn its coefficients from its texts: block of the model → one per source; see `adaptation`."""
        return self.module.adapt(self.settings, inputs, weights, base, max_length, seed)

    def measure(
        self, inputs: Mapping[str, Any], entry: Mapping[str, Any], base: str, max_length: int, seed: int, folder: Path
    ) -> dict[str, Path]:
        """Measure what depends on the merge itself: source → file; nothing, if the method has no such thing."""
        if not hasattr(self.module, "measure"):
            return {}
        return self.module.measure(self.settings, inputs, entry, base, max_length, seed, folder)

    def check_sources(self, count: int) -> None:
        """Raise an `XlmergeError` if it does not take that many sources."""
        wanted = getattr(self.module, "SOURCES", count)
        if count != wanted:
            raise XlmergeError(
                f"{self.name} merges exactly {wanted} sources, not {count}; set `num_languages: {wanted}`"
            )

    def prepare(self, sources: Sources, context: Context) -> Any:
        """Make the first pass, if the method has one."""
        return self.module.prepare(sources, self.settings, context) if hasattr(self.module, "prepare") else None

    def shape(self, tensor: Tensor, context: Context) -> Shape:
        """Return which pieces it needs of a tensor."""
        if hasattr(self.module, "shape"):
            return self.module.shape(tensor, self.settings, context)
        return getattr(self.module, "SHAPE", "elementwise")

    def __call__(self, subject: Any) -> Any:
        """Merge a piece (or, for a combinator, rewrite a merge, to whose pieces its factor then applies)."""
        foreign = left_to_caller("merge method", self.name)
        result = self.function(subject, **{k: v for k, v in self.settings.items() if k not in foreign})
        return result if self.combines or self.factor == 1 else result * np.float32(self.factor)


def load_method(name: str, given: Mapping[str, Any]) -> Method:
    """Return a method with all its parameters, those `given` checked.

    Raises
    ------
    XlmergeError
        For an unknown method, or parameters that do not go together.
    pydantic.ValidationError
        For an unknown parameter or a value out of range.
    """
    module = registry.load("merge method", name)
    settings = parameters("merge method", name, dict(given))
    if hasattr(module, "check"):
        module.check(settings)
    factor = settings[SCALING] if SCALING in left_to_caller("merge method", name) else 1.0
    method = Method(name, plugin_function("merge method", name), module, settings, factor)
    for role, inner in method.inner.items():
        if inner.needs_data:
            raise XlmergeError(f"{name}: {role} cannot be {inner.name}, which needs data")
        if inner.grouped_by:
            raise XlmergeError(f"{name}: {role} cannot be {inner.name}, which groups the sources by {inner.grouped_by}")
    return method


def inner_method(settings: Mapping[str, Any], role: str, more: Mapping[str, Any] | None = None) -> Method:
    """Return the method that a parameter of another one names; `more` go on top of its parameters.

    Raises
    ------
    XlmergeError
        If its parameters are wrong; the message says where they stand.
    """
    name, given = settings[role], {**(settings[f"{role}_parameters"] or {}), **(more or {})}
    try:
        return load_method(name, given)
    except ValidationError as error:
        problem = describe(error, parameter_model("merge method", name))
        raise XlmergeError(f"{role}_parameters, of {name}: {problem}") from None


def methods_in(name: str, given: Mapping[str, Any]) -> list[str]:
    """Return a method and those that its parameters name: all that its code identity consists of."""
    method = load_method(name, given)
    names = {name.lower()}
    for inner in method.inner.values():
        names |= set(methods_in(inner.name, inner.settings))
    return sorted(names)
