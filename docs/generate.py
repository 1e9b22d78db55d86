"""Writes the reference pages about the config and its plug-ins, and the config's JSON schema (``make docs``)."""

import inspect
import json
from pathlib import Path
from typing import Any

import click
import griffe
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from workflow_scripts.cli.main import main
from workflow_scripts.core import registry
from workflow_scripts.core.signatures import limits, parameter_model, plugin_function, summary
from workflow_scripts.selection.systems import OF_MERGE, OF_SELECTION
from workflow_scripts.selection.systems import SYSTEMS as SYSTEM_ROWS
from workflow_scripts.study import config

REFERENCE = Path(__file__).resolve().parent / "reference"
GENERATED = "Generated from {source} by `make docs`; do not edit."
CONFIG = """Unknown keys are errors. A file given with `--configfile` is used alone: `config.yaml` is read only when
none is given. For completion and checks in an editor, begin your file, as `xlmerge init` does, with
`# yaml-language-server: $schema=` and the path of [config.schema.json](config.schema.json).

Merge methods, similarity measures and selectors with their parameters are on pages of their own: [merge
methods](methods.md), [similarity measures](measures.md), [selectors](selectors.md)."""
METHODS = """Values of the key `method`; parameters stand beside it, under `fixed:` or `sweep:`. τᵢ = θᵢ − θ₀ is
source i's task vector, K the number of sources, wᵢ the selected weights (sum 1). [What the merge methods
do](../explanation/methods.md) sets them side by side and shows what they did to the demo's models."""
MEASURES = """Values of the key `similarity_type`, in upper or lower case; parameters stand under `similarity:` at the
top level. There, a name of your own with a key `measure` makes a variant: `GEO: {measure: URIEL, features: geo}`."""
SELECTORS = """Values of the key `selector`; parameters stand beside it, under `fixed:` or `sweep:`. A selector turns
the target's row of a similarity matrix into sources and weights."""
SYSTEMS = """Everything that is scored on a target, by its column in the [tables](tables.md). *Supervision* is what
has to be known of the target: `none`, `unlabelled` text, `labelled validation` data, `labelled training` data (its
own model); *oracle* marks what was chosen on the test data: a bound, never an option."""
COMMAND = """What `xlmerge --help` says, and each subcommand's `--help`. In a clone, the command is
`.venv/bin/xlmerge`. `xlmerge merge` has one subcommand per [merge method](methods.md), whose parameters are its
options; `ties` stands for all of them here."""
COMMANDS = (
    "",
    "init",
    "run",
    "plan",
    "recommend",
    "report",
    "compare",
    "export",
    "prune",
    "merge",
    "merge ties",
    "merge mergekit",
)
SCOPES = {"target": "Once per target", "experiment": "Beside each merge, of its sources"}
MADE = {"logits": "nothing more: from scores", "merge": "a merge", "training": "a training"}
TIERS = {OF_MERGE: "that of the merge", OF_SELECTION: "that of its selection"}
SECTIONS = (
    ("Top level", config.Run),
    ("`base:`", config.Base),
    ("`finetune:`", config.Finetune),
    ("`few_shot:`", config.FewShot),
    ("`statistics:`", config.Statistics),
    ("`evaluation:`", config.Evaluation),
    ("`languages:`, one entry", config.Language),
    ("`ablations:`, one block", config.Ablation),
    ("Keys of `fixed:` and `sweep:`", config.Experiment),
)


def pages() -> dict[str, str]:
    """Return the generated files of docs/reference: name → content."""
    return {
        "config.md": _config(),
        "methods.md": _plugins("Merge methods", "merge method", METHODS),
        "measures.md": _plugins("Similarity measures", "similarity measure", MEASURES),
        "selectors.md": _plugins("Selectors", "selector", SELECTORS),
        "systems.md": _systems(),
        "command.md": _page("The command", "`workflow_scripts/cli/`", COMMAND, [_help(words) for words in COMMANDS]),
        "config.schema.json": json.dumps(config.Run.model_json_schema(), indent=1, ensure_ascii=False) + "\n",
    }


def _config() -> str:
    providers = [
        _section(f"`data:` with `provider: {name}`", registry.load("data provider", name).Settings)
        for name in registry.names("data provider")
    ]
    top, *others = [_section(*section) for section in SECTIONS]
    return _page("The config", "`workflow_scripts/study/config.py`", CONFIG, [top, *providers, *others])


def _plugins(title: str, kind: str, text: str) -> str:
    source = f"`{registry.PACKAGES[kind].replace('.', '/')}/`"
    return _page(title, source, text, [_plugin(kind, name) for name in registry.names(kind)])


def _systems() -> str:
    sections = []
    for scope, heading in SCOPES.items():
        lines = [f"## {heading}\n", "| column | system | supervision | costs | in a run |", "|:--|:--|:--|:--|:--|"]
        for row in (row for row in SYSTEM_ROWS if row.scope == scope):
            column = f"{row.column}_k…" if row.sized else row.column
            asked = f"on request: `{row.asked}`" if row.asked else "always"
            lines.append(f"| `{column}` | {row.title} | {TIERS.get(row.tier, row.tier)} | {MADE[row.made]} | {asked} |")
        sections.append("\n".join(lines) + "\n")
    return _page("Systems", "`workflow_scripts/selection/systems.py`", SYSTEMS, sections)


def _help(words: str) -> str:
    """Return a command's section: its help, as wide as a page."""
    context = click.Context(main, info_name="xlmerge", terminal_width=96)
    for word in words.split():
        assert isinstance(context.command, click.Group)
        command = context.command.get_command(context, word)
        assert command is not None
        context = click.Context(command, parent=context, info_name=word, terminal_width=96)
    return f"## `{context.command_path}`\n\n```text\n{context.get_help()}\n```\n"


def _page(title: str, source: str, text: str, sections: list[str]) -> str:
    return "\n".join([f"# {title}\n\n{GENERATED.format(source=source)}\n\n{text}\n", *sections])


def _section(title: str, model: type[BaseModel]) -> str:
    first_line = (model.__doc__ or "").strip().splitlines()[0]
    return f"## {title}\n\n{first_line}\n\n{_table(model)}"


def _plugin(kind: str, name: str) -> str:
    """Return a plug-in's section: what it does, its parameters, and the notes of its docstring."""
    supervision = getattr(registry.load(kind, name), "SUPERVISION", None)
    sections = griffe.Docstring(inspect.getdoc(plugin_function(kind, name)) or "").parse("numpy", warnings=False)
    text = [s.value for s in sections if s.kind is griffe.DocstringSectionKind.text]
    notes = [s.value.contents for s in sections if s.kind is griffe.DocstringSectionKind.admonition]
    model = parameter_model(kind, name)
    parts = [f"## `{name}`", summary(kind, name), *text]
    parts += [_table(model).rstrip()] if model.model_fields else []
    parts += [*notes, *([f"Supervision: {supervision}."] if supervision else [])]
    return "\n\n".join(parts) + "\n"


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


if __name__ == "__main__":
    for name, content in pages().items():
        (REFERENCE / name).write_text(content, encoding="utf-8")
