"""Config models, and their validation errors as sentences: where, what, and the nearest correct spelling."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from workflow_scripts.core.errors import did_you_mean


class Closed(BaseModel):
    """A model that refuses unknown keys and numbers that are not finite, and cannot be changed once checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def describe(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Return one line per problem of a pydantic error."""
    return "\n  ".join(_line(dict(e), model) for e in error.errors())


def _line(problem: dict[str, Any], model: type[BaseModel] | None) -> str:
    where = ".".join(str(p) for p in problem["loc"]) or "config"
    context = problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        return f"{where}: unknown key {key!r}{did_you_mean(key, _known_keys(problem['loc'], model))}"
    if problem["type"] == "union_tag_invalid":
        tag, expected = context["tag"], context["expected_tags"].replace("'", "").split(", ")
        return f"{where}: unknown {context['discriminator'].strip(chr(39))} {tag!r}{did_you_mean(tag, expected)} " + (
            f"(known: {', '.join(expected)})"
        )
    return f"{where}: {problem['msg'].removeprefix('Value error, ')} (got {problem['input']!r})"


def _known_keys(loc: tuple[Any, ...], model: type[BaseModel] | None) -> list[str]:
    """Walk down the model along the error's location and list the keys known there."""
    current: Any = model
    for part in loc[:-1]:
        fields = getattr(current, "model_fields", {})
        if part in fields:
            current = _inner_model(fields[part].annotation)
        elif not isinstance(part, int):
            current = next((m for m in _union(current) if _tag(m) == part), current)
    models = _union(current)
    return [name for m in models for name in getattr(m, "model_fields", {})]


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
