"""mergekit's YAML, read and checked, and what its parameters are worth for one tensor; unknown keys are errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import yaml
from pydantic import BeforeValidator, Field, PlainValidator, ValidationError

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.validation import Closed, describe
from workflow_scripts.merging.pieces import Layout

ABSENT = {
    "slices": "whole models are merged only; list them under `models:`",
    "modules": "whole models are merged only; list them under `models:`",
    "tokenizer_source": "all models must have one vocabulary, which is kept; leave the key out",
    "tokenizer": "all models must have one vocabulary, which is kept; leave the key out",
    "chat_template": "sequence classifiers have none; leave the key out",
}
DTYPES = ("float32", "bfloat16", "float16")

Scalar = bool | int | float | str
T = TypeVar("T", float, bool)
Convert = Callable[[Scalar, str], T]


def _value(given: Any) -> Any:
    points = given if isinstance(given, list) else [given]
    if not points or not all(isinstance(p, Scalar) for p in points):
        raise ValueError("a number, true, false, or a list of these, a gradient")
    return given


Value = Annotated[Scalar | list[Scalar], PlainValidator(_value)]


class Condition(Closed):
    """A value, or a gradient over the layers, and the part of a tensor's name that it holds for."""

    value: Value
    filter: str | None = None


def _conditions(given: Any) -> Any:
    """Return a setting as a list of conditions: a bare value or gradient holds for all tensors."""
    if isinstance(given, dict):
        return [given]
    if isinstance(given, list) and any(isinstance(entry, dict) for entry in given):
        return given
    return [{"value": given}]


Setting = Annotated[list[Condition], BeforeValidator(_conditions)]
Parameters = Annotated[dict[str, Setting], BeforeValidator(lambda given: {} if given is None else given)]


class ListedModel(Closed):
    """An entry of ``models:``."""

    model: str
    parameters: Parameters = Field(default_factory=dict)


class MergekitConfig(Closed):
    """What mergekit's YAML says."""

    merge_method: str
    models: Annotated[list[ListedModel], Field(min_length=1)]
    base_model: str | None = None
    parameters: Parameters = Field(default_factory=dict)
    dtype: str | None = None
    out_dtype: str | None = None

    @property
    def written_dtype(self) -> str:
        """The dtype of the output: mergekit's is that of the arithmetic, which is that of the models."""
        return (self.out_dtype or self.dtype or "widest").removeprefix("torch.")

    def of_model(self, model: str) -> Parameters:
        """Return a model's own parameters."""
        return next((entry.parameters for entry in self.models if entry.model == model), {})


def read_config(path: str | Path) -> MergekitConfig:
    """Read a file.

    Raises
    ------
    XlmergeError
        If it is no YAML, has unknown keys, or asks for something that xlmerge does not do.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise XlmergeError(f"{path} cannot be read as YAML: {error}") from None
    try:
        return parse_config(content)
    except XlmergeError as error:
        raise XlmergeError(f"{path}: {error}") from None


def parse_config(content: Any) -> MergekitConfig:
    """Return the config of a YAML file's content."""
    for key in ABSENT.keys() & (content.keys() if isinstance(content, dict) else set()):
        raise XlmergeError(f"`{key}` of mergekit is not supported: {ABSENT[key]}")
    try:
        config = MergekitConfig.model_validate(content)
    except ValidationError as error:
        raise XlmergeError(f"the config does not fit:\n  {describe(error, MergekitConfig)}") from None
    for name in (config.base_model, *(entry.model for entry in config.models)):
        _check_reference(name)
    if config.written_dtype not in (*DTYPES, "widest"):
        raise XlmergeError(f"dtype {config.written_dtype} is not written: choose one of {', '.join(DTYPES)}")
    names = [entry.model for entry in config.models]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise XlmergeError(f"models: {', '.join(twice)} is listed twice")
    return config


def _check_reference(name: str | None) -> None:
    """Refuse mergekit's model+adapter and model@revision."""
    if name is None or Path(name).expanduser().exists():
        return
    if "+" in name:
        raise XlmergeError(f"{name}: adapters are not merged in; do it first (peft: `merge_and_unload()`)")
    if "@" in name:
        raise XlmergeError(f"{name}: fetch that revision (`hf download --revision …`) and give the folder")


def number(value: Scalar, where: str) -> float:
    """Return a setting's value as a number; YAML reads ``1e-3`` as a text."""
    try:
        return float(value)
    except ValueError:
        raise XlmergeError(f"{where}: {value!r} is not a number") from None


def flag(value: Scalar, where: str) -> bool:
    """Return a setting's value as true or false."""
    meanings = {True: True, False: False, "true": True, "false": False}
    key = value.lower() if isinstance(value, str) else value
    if key not in meanings:
        raise XlmergeError(f"{where}: {value!r} is neither true nor false")
    return meanings[cast(bool, key)]


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
    config : MergekitConfig
    models : tuple of str
        The sources, as the config names them.
    tensor : str
    at : float
        See `depth`.
    """

    config: MergekitConfig
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
