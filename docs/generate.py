"""Writes docs/reference/config.md and docs/reference/config.schema.json from the schema (``make docs``)."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from workflow_scripts.core import registry
from workflow_scripts.core.signatures import limits, parameter_model, plugin_function, summary
from workflow_scripts.study import config

REFERENCE = Path(__file__).resolve().parent / "reference"
HEAD = """# The config

Generated from `workflow_scripts/study/config.py` by `make docs`; do not edit. Unknown keys are errors. A file given
with `--configfile` is used alone: `config.yaml` is read only when none is given. For completion and checks in an
editor, put `# yaml-language-server: $schema=docs/reference/config.schema.json` at the top of your file.
"""


def config_markdown() -> str:
    """Return docs/reference/config.md."""
    parts = [HEAD, _section("Top level", config.Run)]
    parts += [
        _section(f"`data:` with `provider: {name}`", registry.load("data provider", name).Settings)
        for name in registry.names("data provider")
    ]
    for title, model in (
        ("`base:`", config.Base),
        ("`finetune:`", config.Finetune),
        ("`evaluation:`", config.Evaluation),
        ("`languages:`, one entry", config.Language),
        ("`ablations:`, one block", config.Ablation),
        ("Keys of `fixed:` and `sweep:`", config.Experiment),
    ):
        parts.append(_section(title, model))
    for kind in ("merge method", "similarity measure", "selector"):
        parts.append(f"## {kind.capitalize()}s\n")
        parts += [_plugin(kind, name) for name in registry.names(kind)]
    return "\n".join(parts)


def _section(title: str, model: type[BaseModel]) -> str:
    summary = (model.__doc__ or "").strip().splitlines()[0]
    return f"## {title}\n\n{summary}\n\n{_table(model)}"


def _plugin(kind: str, name: str) -> str:
    module = registry.load(kind, name)
    supervision = getattr(module, "SUPERVISION", None)
    note = f" Supervision: {supervision}." if supervision else ""
    model = parameter_model(kind, name)
    table = _table(model) if model.model_fields else ""
    assert plugin_function(kind, name).__doc__
    return f"### `{name}`\n\n{summary(kind, name)}{note}\n\n{table}"


def _table(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()["properties"]
    lines = ["| key | type | default | meaning |", "|:--|:--|:--|:--|"]
    for key, field in model.model_fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{key}` | {_type(schema[key])} | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{v}`" for v in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(dict.fromkeys(_type(s) for s in schema.get("anyOf", schema.get("oneOf", []))))
    if "$ref" in schema:
        return "block"
    kind = {"integer": "int", "number": "float", "string": "text", "boolean": "true/false", "null": "null"}.get(
        schema.get("type", ""), schema.get("type", "any")
    )
    if kind == "array":
        kind = f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        kind = "mapping"
    return kind + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    return f" ({', '.join(limits(schema))})" if limits(schema) else ""


def _default(field: Any) -> str:
    if field.default_factory is not None:
        made = field.default_factory()
        return f"`{json.dumps(made)}`" if isinstance(made, dict) else "see below"
    if field.default is PydanticUndefined:
        return "**required**"
    return f"`{json.dumps(field.default)}`"


def config_schema() -> str:
    """Return docs/reference/config.schema.json."""
    return json.dumps(config.Run.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write both files."""
    (REFERENCE / "config.md").write_text(config_markdown(), encoding="utf-8")
    (REFERENCE / "config.schema.json").write_text(config_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
