"""The command ``xlmerge merge``: one for each method, made from its signature, and one for mergekit's YAML."""

import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import click

from workflow_scripts.core import registry
from workflow_scripts.core.errors import XlmergeError, did_you_mean
from workflow_scripts.core.signatures import limits, parameter_model, plugin_function, summary
from workflow_scripts.merging.method import Step
from workflow_scripts.merging.streaming import Progress

MERGEKIT = "mergekit"


class CommaList(click.ParamType):
    """Values between commas, each of one type."""

    name = "list"

    def __init__(self, kind: Callable[[str], Any] = str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """Return the list behind a text."""
        try:
            return [self.kind(part.strip()) for part in value.split(",")]
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Methods(click.Group):
    """One command per merge method, made when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all methods, and of the command that reads mergekit's YAML."""
        return [*registry.names("merge method"), MERGEKIT]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a method."""
        if cmd_name == MERGEKIT:
            return mergekit
        return method_command(cmd_name) if cmd_name in registry.names("merge method") else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a name that is nearly one is answered with it."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no merge method {args[0]!r}{did_you_mean(args[0], self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Methods, subcommand_metavar="METHOD --base BASE --out OUT SOURCE...")
def merge() -> None:
    """Merge fine-tuned sequence classifiers into one.

    Sources and base are Hugging Face folders, hub ids, or xlmerge's task vectors. `xlmerge merge METHOD --help` shows a
    method's parameters.
    """


COMMON = [
    click.Option(["--out"], required=True, type=click.Path(), help="Folder to be made (a file for a task vector)."),
    click.Option(["--names"], type=CommaList(), help="Of the sources; random masks depend on them. [default: paths]"),
    click.Option(
        ["--head"], type=click.Choice(["base", "mean"]), default="base", help="mean: average the sources' heads."
    ),
    click.Option(["--output"], type=click.Choice(["checkpoint", "task-vector"]), default="checkpoint"),
    click.Option(["--overwrite"], is_flag=True, help="Replace an existing output."),
    click.Option(["--dry-run"], is_flag=True, help="Check everything but the weights, print what would happen."),
]
OF_METHODS = [
    click.Argument(["sources"], nargs=-1, required=True, metavar="SOURCE..."),
    click.Option(
        ["--base"], required=True, help="θ₀, which the sources were fine-tuned from: folder, hub id, built-in encoder."
    ),
    click.Option(
        ["--weights"], type=CommaList(float), help="One per source, 0 or more, scaled to sum 1. [default: equal]"
    ),
    click.Option(["--groups"], type=CommaList(), help="Of the sources, for hierarchical: families, scripts …"),
    click.Option(
        ["--dtype"],
        type=click.Choice(["float32", "bfloat16", "float16", "widest"]),
        help="Of the written weights. [default: the base's]",
    ),
]


def method_command(method: str) -> click.Command:
    """Return the command of a merge method."""
    fields = parameter_model("merge method", method).model_fields

    def callback(
        sources: tuple[str, ...],
        base: str,
        weights: list[float] | None,
        groups: list[str] | None,
        dtype: str | None,
        **options: Any,
    ) -> None:
        given = {name: value for name in fields if (value := options.pop(_variable(name))) is not None}
        parameters = {name: _value(value) for name, value in given.items()}
        _merge([step_of(method, sources, weights, parameters)], sources, base, groups=groups, dtype=dtype, **options)

    return click.Command(
        method,
        callback=callback,
        params=[*OF_METHODS, *_parameter_options(method), *COMMON],
        help=_about(method),
        short_help=summary("merge method", method),
    )


def _about(method: str) -> str:
    """Return the summary and first paragraph of a method's docstring; click must not fold its formulas."""
    text, *rest = textwrap.dedent(plugin_function("merge method", method).__doc__ or "").strip().split("\n\n")
    first = textwrap.dedent("\n".join(rest[:1]))
    return text if first.startswith(("Parameters\n", "Returns\n")) else f"{text}\n\n\b\n{first}"


def _parameter_options(method: str) -> list[click.Option]:
    model = parameter_model("merge method", method)
    schema = model.model_json_schema().get("properties", {})
    return [_option(name, field, schema[name]) for name, field in model.model_fields.items()]


def _option(name: str, field: Any, schema: dict[str, Any]) -> click.Option:
    flag = "--" + name.replace("_", "-")
    text = f"{field.description} {_range(schema)}[default: {json.dumps(field.default)}]"
    if schema.get("type") == "boolean":
        return click.Option([_variable(name), f"{flag}/--no-{flag[2:]}"], default=None, help=text)
    if "enum" in schema:
        return click.Option([_variable(name), flag], type=click.Choice(schema["enum"]), help=text)
    kinds = {s.get("type", "") for s in schema.get("anyOf", [schema])} - {"null"}
    metavar = {"object": "JSON", "integer": "INT", "string": "NAME"}.get(min(kinds), "X")
    return click.Option([_variable(name), flag], metavar=metavar, help=text)


def _variable(name: str) -> str:
    """Return the name that click keeps a method's parameter under: a method may have a parameter `base` or `head`."""
    return f"parameter_{name}"


def _range(schema: dict[str, Any]) -> str:
    found = [limit for part in schema.get("anyOf", [schema]) for limit in limits(part)]
    return f"[{', '.join(found)}] " if found else ""


def _value(given: Any) -> Any:
    """Return a parameter's value: JSON where its text is some."""
    try:
        return json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return given


def step_of(method: str, sources: Sequence[str], weights: Sequence[float] | None, parameters: dict[str, Any]) -> Step:
    """Return the merge that the options ask for, its weights scaled to sum 1.

    Raises
    ------
    XlmergeError
        If the weights do not fit the sources, or the method has no use for them.
    """
    weights = weights or [1.0] * len(sources)
    if len(weights) != len(sources):
        raise XlmergeError(f"{len(sources)} sources need as many weights, got {len(weights)}")
    if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise XlmergeError(f"weights must be 0 or more, and one of them above 0, got {list(weights)}")
    if len(set(weights)) > 1 and not registry.load("merge method", method).USES_WEIGHTS:
        raise XlmergeError(f"{method} does not use weights; leave out `--weights`, or try similarity")
    return Step(method, parameters, tuple(w / sum(weights) for w in weights))


def _mergekit(file: str, **options: Any) -> None:
    from workflow_scripts.checkpoints.mergekit_translation import translate

    asked = translate(file)
    dtype = asked.dtype if options["output"] == "checkpoint" else None
    _merge(asked.steps, asked.sources, asked.base, dtype=dtype, **options)


mergekit = click.Command(
    MERGEKIT,
    callback=_mergekit,
    params=[click.Argument(["file"], type=click.Path()), *COMMON],
    help="""Merge as FILE says, a YAML of mergekit's.

    It has mergekit's meaning and defaults; methods, weights, parameters per model, filters, gradients and dtypes are
    understood.
    """,
)


def _merge(steps: Any, sources: Sequence[str], base: str, **options: Any) -> None:
    """Merge and say what came of it; `options` are those of `merge_checkpoints`."""
    from workflow_scripts.checkpoints.merge import merge_checkpoints

    bar = Bar()
    try:
        report = merge_checkpoints(list(sources), base, options.pop("out"), steps, progress=bar, **options)
    finally:
        bar.close()
    click.echo(report_text(report, options["dry_run"]))


def report_text(report: dict[str, Any], dry_run: bool) -> str:
    """Return a report of `merge_checkpoints` as text."""
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
