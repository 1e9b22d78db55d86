"""The command line of `merge_checkpoints`: its options, a method's own among them."""

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from workflow_scripts.core import registry
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.signatures import limits, parameter_model, plugin_function
from workflow_scripts.core.signatures import summary as summary_of
from workflow_scripts.merging.method import Step
from workflow_scripts.merging.streaming import Progress

PROGRAM = "python -m workflow_scripts.cli.merge_checkpoints"
ABOUT = """Merge fine-tuned sequence classifiers (Hugging Face folders, hub ids, or xlmerge's task vectors) into one.

  --method METHOD --base BASE --out FOLDER SOURCE [SOURCE …]
  --mergekit-config FILE --out FOLDER                             (mergekit's YAML instead; --help after it says more)
"""
MERGEKIT = """Merge as a file of mergekit's says, with mergekit's meaning and defaults: methods, weights, parameters per
model, filters, gradients, dtypes. What is different is said in docs/how-to/merging.md.
"""
GROUP = "parameters of the method"


def parser_for(method: str | None) -> argparse.ArgumentParser:
    """Return the parser; with a method it knows the method's parameters, else its help lists the methods."""
    about = _about(method) if method else f"{ABOUT}\nmethods (--method NAME --help shows the parameters):\n{_methods()}"
    parser = argparse.ArgumentParser(
        PROGRAM,
        usage="%(prog)s --method METHOD --base BASE --out OUT [options] SOURCE [SOURCE ...]",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help="folder, task-vector file or hub id")
    add("--method", required=True, choices=registry.names("merge method"), metavar="METHOD")
    add("--base", required=True, help="θ₀, which the sources were fine-tuned from: folder, hub id, built-in encoder")
    add("--weights", nargs="+", type=float, metavar="W", help="one per source, 0 or more, scaled to sum 1 (equal)")
    add("--groups", nargs="+", metavar="GROUP", help="of the sources, for hierarchical: families, scripts …")
    add("--dtype", choices=["float32", "bfloat16", "float16", "widest"], help="of the written weights (the base's)")
    _add_common(parser)
    parser.set_defaults(mergekit_config=None)
    if method:
        _add_parameters(parser.add_argument_group(GROUP), method)
    return parser


def mergekit_parser() -> argparse.ArgumentParser:
    """Return the parser where a file of mergekit's says what to merge."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        usage="%(prog)s --mergekit-config FILE --out OUT [options]",
        description=MERGEKIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--mergekit-config", required=True, metavar="FILE", help="mergekit's YAML")
    _add_common(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", required=True, help="folder to be made (a file for --output task-vector)")
    add("--names", nargs="+", metavar="NAME", help="of the sources; random masks depend on them (from their paths)")
    add("--head", choices=["base", "mean"], default="base", help="mean: average the heads, whatever the base has")
    add("--output", choices=["checkpoint", "task-vector"], default="checkpoint")
    add("--overwrite", action="store_true", help="replace an existing output")
    add("--dry-run", action="store_true", help="check everything but the weights, print what would happen")


def _about(method: str) -> str:
    """Return the summary and first paragraph of a method's docstring."""
    summary, *rest = textwrap.dedent(plugin_function("merge method", method).__doc__ or "").strip().split("\n\n")
    first = textwrap.dedent("\n".join(rest[:1]))
    paragraph = "" if first.startswith(("Parameters\n", "Returns\n")) else f"\n\n{first}"
    return f"{method}: {summary}{paragraph}"


def _methods() -> str:
    names = registry.names("merge method")
    width = max(map(len, names))
    return "\n".join(f"  {n:{width}}  {summary_of('merge method', n)}" for n in names)


def _add_parameters(group: Any, method: str) -> None:
    schema = parameter_model("merge method", method).model_json_schema().get("properties", {})
    for name, field in parameter_model("merge method", method).model_fields.items():
        kind = schema[name]
        flag = {"nargs": "?", "const": "true"} if kind.get("type") == "boolean" else {}
        text = f"{field.description} {_range(kind)}(default: {json.dumps(field.default)})".replace("%", "%%")
        group.add_argument(_option(name), dest=_dest(name), metavar=_metavar(kind), help=text, **flag)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _dest(name: str) -> str:
    return f"parameter {name}"


def _metavar(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "{" + ",".join(schema["enum"]) + "}"
    kinds = {s.get("type", "") for s in schema.get("anyOf", [schema])} - {"null"}
    return {"object": "JSON", "boolean": "true|false", "integer": "INT", "string": "NAME"}.get(min(kinds), "X")


def _range(schema: dict[str, Any]) -> str:
    found = [limit for part in schema.get("anyOf", [schema]) for limit in limits(part)]
    return f"[{', '.join(found)}] " if found else ""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; ``parameters`` holds those of the method that were given."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--method")
    first.add_argument("--mergekit-config")
    chosen = first.parse_known_args([a for a in arguments if a not in ("-h", "--help")])[0]
    if chosen.mergekit_config:
        return mergekit_parser().parse_args(arguments)
    known = chosen.method if chosen.method in registry.names("merge method") else None
    parser = parser_for(known)
    options = parser.parse_args(arguments)
    prefix = _dest("")
    given = {k.removeprefix(prefix): v for k, v in vars(options).items() if k.startswith(prefix) and v is not None}
    options.parameters = {name: _value(text) for name, text in given.items()}
    return options


def _value(text: str) -> Any:
    """Return a parameter's value: JSON where it is some, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def request(options: argparse.Namespace) -> dict[str, Any]:
    """Return what is to be merged, as arguments of `merge_checkpoints`."""
    if options.mergekit_config:
        from workflow_scripts.checkpoints.mergekit_translation import translate

        asked = translate(options.mergekit_config)
        dtype = asked.dtype if options.output == "checkpoint" else None
        return {"sources": asked.sources, "base": asked.base, "steps": asked.steps, "dtype": dtype}
    given = {"sources": options.sources, "base": options.base, "steps": [step_of(options)]}
    return given | {"groups": options.groups, "dtype": options.dtype}


def step_of(options: argparse.Namespace) -> Step:
    """Return the merge that the options ask for, its weights scaled to sum 1.

    Raises
    ------
    XlmergeError
        If the weights do not fit the sources, or the method has no use for them.
    """
    weights = options.weights or [1.0] * len(options.sources)
    if len(weights) != len(options.sources):
        raise XlmergeError(f"{len(options.sources)} sources need as many weights, got {len(weights)}")
    if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise XlmergeError(f"weights must be 0 or more, and one of them above 0, got {weights}")
    if len(set(weights)) > 1 and not registry.load("merge method", options.method).USES_WEIGHTS:
        raise XlmergeError(f"{options.method} does not use weights; leave out `--weights`, or try --method similarity")
    return Step(options.method, options.parameters, tuple(w / sum(weights) for w in weights))


def summary(report: dict[str, Any], dry_run: bool) -> str:
    """Return a report as text."""
    lines = [_source_line(name, source) for name, source in report["sources"].items()]
    lines.append(f"base    {report['base']['path']}: {_size(report['base']['bytes'])}")
    lines += [
        f"step    {s['method']}: {s['tensors']} tensors, {s['parameters']}"
        if s["parameters"]
        else f"step    {s['method']}: {s['tensors']} tensors"
        for s in report["steps"]
    ]
    if report["head"]["averaged"]:
        cosines = [f"{c:.3f}" for i, row in enumerate(report["head"]["cosines"]) for c in row[i + 1 :]]
        lines.append(
            f"head    mean of the sources' ({', '.join(report['head']['averaged'])}); cosines {' '.join(cosines)}"
        )
    output = report["output"]
    lines.append(f"output  {output['path']}: {output['kind']}, {_size(output['bytes'])}")
    lines.append(f"memory  about {_size(report['memory'])}")
    return "\n".join(lines) + ("\ndry run: nothing was written" if dry_run else "")


def _source_line(name: str, source: dict[str, Any]) -> str:
    size, distance = _size(source["bytes"]), f"{source['distance']:.3g}"
    return f"source  {name}: {source['kind']}, {size}, ‖θ−θ₀‖/‖θ₀‖ {distance} ({source['path']})"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e7 else f"{count / 1e6:.2f} MB"


class Bar(Progress):
    """A progress bar on standard error, if that is a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def phase(self, name: str, elements: int | None) -> None:
        """Begin a bar; without a number of elements it shows only what has been read."""
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(
            total=elements, desc=name, unit=" weights", unit_scale=True, disable=None, file=sys.stderr, leave=False
        )

    def advance(self, elements: int) -> None:
        """Move on."""
        if self._bar is not None:
            self._bar.update(elements)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
