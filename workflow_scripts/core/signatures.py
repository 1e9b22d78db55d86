"""A plug-in's keyword-only arguments are its hyper-parameters: one declaration for schema, docs and checks.

Example of a plug-in function::

    def ties(tau, weights, *, density: Annotated[float, Field(gt=0, le=1, description="…")] = 0.2): ...
"""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from workflow_scripts.core import registry


@cache
def plugin_function(kind: str, name: str) -> Callable[..., Any]:
    """Return the function of a plug-in: the one that bears the module's name."""
    module = registry.load(kind, name)
    return getattr(module, module.__name__.rsplit(".", 1)[1])


@cache
def parameter_model(kind: str, name: str) -> type[BaseModel]:
    """Return a closed pydantic model of a plug-in's keyword-only arguments, and of what all of its kind take."""
    function = plugin_function(kind, name)
    fields: dict[str, Any] = {
        p.name: (p.annotation, ... if p.default is p.empty else p.default)
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    fields |= {key: declared for key, declared in _common(kind).items() if key not in fields}
    return create_model(f"{name}_parameters", __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)


def _common(kind: str) -> dict[str, tuple[Any, Any]]:
    """Return what all plug-ins of a kind take: name → annotation and default."""
    return importlib.import_module(registry.COMMON[kind]).COMMON if kind in registry.COMMON else {}


@cache
def left_to_caller(kind: str, name: str) -> frozenset[str]:
    """Return the parameters that all plug-ins of a kind take and this one's function does not: its caller's matter."""
    return frozenset(_common(kind)) - set(inspect.signature(plugin_function(kind, name)).parameters)


def parameters(kind: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters of a plug-in, those `given` checked and the others at their defaults.

    Raises
    ------
    pydantic.ValidationError
        For an unknown parameter or a value out of range.
    """
    return parameter_model(kind, name)(**given).model_dump()


def changed_parameters(kind: str, name: str, values: Mapping[str, Any]) -> list[str]:
    """Return ``parameter-value`` for the values that differ from their defaults, fit for a file name and a pattern."""
    defaults = {k: f.default for k, f in parameter_model(kind, name).model_fields.items()}
    return [f"{k}-{_spelled(v)}" for k, v in sorted(values.items()) if v != defaults[k]]


def _spelled(value: Any) -> str:
    """Return a value, which may hold others, in letters, digits and ``+-._`` alone."""
    if isinstance(value, Mapping):
        return "+".join(f"{key}-{_spelled(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return "+".join(map(_spelled, value))
    return re.sub(r"[^\w+.-]", "", str(value).replace("/", "-"))


def limits(schema: Mapping[str, Any]) -> list[str]:
    """Return the bounds of a number's JSON schema, such as ``≥ 0``."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]


def summary(kind: str, name: str) -> str:
    """Return the first line of a plug-in's documentation."""
    return (registry.load(kind, name).__doc__ or "").strip().splitlines()[0]


def parameter_names(kind: str, name: str) -> frozenset[str]:
    """Return the names of a plug-in's hyper-parameters."""
    return frozenset(parameter_model(kind, name).model_fields)
