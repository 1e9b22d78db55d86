"""What mergekit's parameters are worth for one tensor: precedence, filters and gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from workflow_scripts.checkpoints.mergekit.config import Config, Parameters, Scalar, Value, flag, number
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.pieces import Layout

T = TypeVar("T", float, bool)
Convert = Callable[[Scalar, str], T]


def depth(tensor: str, layout: Layout) -> float:
    """Return where a gradient is read: 0 … 1 from the first layer to the last; 0 outside the layers.

    Of a single layer it is 1.
    """
    layer = layout.layer(tensor)
    if layer is None:
        return 0.0
    return layer / (layout.layers - 1) if layout.layers > 1 else 1.0


def interpolate(value: Value, at: float, convert: Convert[T], where: str) -> T:
    """Return a value, or a gradient's: linear between numbers; true and false change at the points.

    Examples
    --------
    >>> interpolate([0, 1, 5], 0.75, number, "weight")
    3.0
    """
    if not isinstance(value, list):
        return convert(value, where)
    points: list[T] = [convert(v, where) for v in value]
    place = at * (len(points) - 1)
    below = int(place)
    if isinstance(points[below], bool):
        return points[below]
    above = min(below + 1, len(points) - 1)
    return convert((1 - (place - below)) * points[below] + (place - below) * points[above], where)


@dataclass(frozen=True)
class Values:
    """One tensor's parameters.

    Attributes
    ----------
    config : Config
    models : tuple of str
        The sources, as the config names them.
    tensor : str
    at : float
        See `depth`.
    """

    config: Config
    models: tuple[str, ...]
    tensor: str
    at: float

    def flag(self, name: str, default: bool) -> bool:
        """Return a top-level parameter that is true or false."""
        return self._first([self.config.parameters], name, flag, default)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a top-level parameter; without a default it is required."""
        return self._first([self.config.parameters], name, number, default)

    def numbers(self, name: str, default: float | None = None) -> list[float]:
        """Return each source's parameter: its own, else the top level's, else the default (none: required)."""
        return [
            self._first([self.config.of_model(model), self.config.parameters], name, number, default, f" of {model}")
            for model in self.models
        ]

    def _first(
        self, scopes: Sequence[Parameters], name: str, convert: Convert[T], default: T | None, whose: str = ""
    ) -> T:
        for scope in scopes:
            for condition in scope.get(name, ()):
                if condition.filter in (None, "*") or str(condition.filter) in self.tensor:
                    return interpolate(condition.value, self.at, convert, f"{name}{whose}")
        if default is None:
            where = "`parameters:` of the model or of the whole file" if whose else "the file's `parameters:`"
            raise XlmergeError(
                f"{self.config.merge_method} needs `{name}`{whose} for tensor {self.tensor}: give it under {where}"
            )
        return default
