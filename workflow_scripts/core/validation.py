"""Config models, and their validation errors as sentences: where, what, and the nearest correct spelling."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from workflow_scripts.core.errors import did_you_mean

MAPPINGS = ("dict_type", "mapping_type", "model_type", "model_attributes_type")  # pydantic's words for no mapping
SHOWN = 80  # characters of a wrong value


class Closed(BaseModel):
    """A model that refuses unknown keys and numbers that are not finite, and cannot be changed once checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def describe(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Return one line per problem of a pydantic error."""
    return "\n  ".join(_line(dict(e), model) for e in error.errors())


def _line(problem: dict[str, Any], model: type[BaseModel] | None) -> str:
    where, context, given = ".".join(map(str, problem["loc"])), problem.get("ctx", {}), problem["input"]
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        return f"{where}: unknown key {key!r}{did_you_mean(key, _known_keys(problem['loc'], model))}"
    if problem["type"] == "union_tag_invalid":
        tag, expected = context["tag"], context["expected_tags"].replace("'", "").split(", ")
        return f"{where}: unknown {context['discriminator'].strip(chr(39))} {tag!r}{did_you_mean(tag, expected)} " + (
            f"(known: {', '.join(expected)})"
        )
    if problem["type"] == "union_tag_not_found":
        known = sorted(filter(None, map(_tag, _tagged(problem["loc"], model))))
        return f"{where}: the key `{context['discriminator'].strip(chr(39))}` is missing (known: {', '.join(known)})"
    if problem["type"] in MAPPINGS:
        return f"{where}: must be a mapping (keys with values), got {_short(given)}"
    text = problem["msg"].removeprefix("Value error, ")
    got = "" if isinstance(given, Mapping | BaseModel) else f" (got {_short(given)})"  # of a block its place is enough
    return f"{where}: {text}{got}" if where else text


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _known_keys(loc: tuple[Any, ...], model: type[BaseModel] | None) -> list[str]:
    """List the keys known where an unknown one is."""
    return [name for m in _tagged(loc[:-1], model) for name in getattr(m, "model_fields", {})]


def _tagged(loc: tuple[Any, ...], model: type[BaseModel] | None) -> list[Any]:
    """Walk down the model along a location and list the models that may stand there."""
    current: Any = model
    for part in loc:
        fields = getattr(current, "model_fields", {})
        if part in fields:
            current = _inner_model(fields[part].annotation)
        elif not isinstance(part, int):
            current = next((m for m in _union(current) if _tag(m) == part), current)
    return _union(current)


def _union(annotation: Any) -> list[Any]:
    return list(getattr(annotation, "__args__", ())) or [annotation]


def _tag(model: Any) -> str | None:
    fields = getattr(model, "model_fields", {})
    return fields["provider"].default if "provider" in fields else None


def _inner_model(annotation: Any) -> Any:
    """Return the model inside ``list[Model]`` or ``dict[str, Model]``, else the annotation itself."""
    args = getattr(annotation, "__args__", None)
    if args and getattr(annotation, "__origin__", None) in (list, dict):
        return args[-1]
    return annotation
