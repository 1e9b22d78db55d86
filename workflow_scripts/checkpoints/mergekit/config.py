"""mergekit's YAML, read and checked; unknown keys are errors."""

from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import BeforeValidator, Field, PlainValidator, ValidationError

from workflow_scripts.core.config_types import Closed
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.validation import describe

ABSENT = {
    "slices": "whole models are merged only; list them under `models:`",
    "modules": "whole models are merged only; list them under `models:`",
    "tokenizer_source": "all models must have one vocabulary, which is kept; leave the key out",
    "tokenizer": "all models must have one vocabulary, which is kept; leave the key out",
    "chat_template": "sequence classifiers have none; leave the key out",
}
DTYPES = ("float32", "bfloat16", "float16")

Scalar = bool | int | float | str


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


class Model(Closed):
    """An entry of ``models:``."""

    model: str
    parameters: Parameters = Field(default_factory=dict)


class Config(Closed):
    """What mergekit's YAML says."""

    merge_method: str
    models: Annotated[list[Model], Field(min_length=1)]
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


def read_config(path: str | Path) -> Config:
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


def parse_config(content: Any) -> Config:
    """Return the config of a YAML file's content."""
    for key in ABSENT.keys() & (content.keys() if isinstance(content, dict) else set()):
        raise XlmergeError(f"`{key}` of mergekit is not supported: {ABSENT[key]}")
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise XlmergeError(f"the config does not fit:\n  {describe(error, Config)}") from None
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
    known = {True: True, False: False, "true": True, "false": False}
    key = value.lower() if isinstance(value, str) else value
    if key not in known:
        raise XlmergeError(f"{where}: {value!r} is neither true nor false")
    return known[cast(bool, key)]
