"""The command that begins a study in a folder of the user's."""

import re
from pathlib import Path

import click

from workflow_scripts.core.environment import workflow_folder
from workflow_scripts.core.errors import XlmergeError, unknown

PROFILES = ("slurm", "workstation")
SCHEMA = "config.schema.json"
HEAD = f"""# yaml-language-server: $schema={SCHEMA}
# A study for `xlmerge run`. {SCHEMA} describes every option; editors that know YAML complete and check by it.
"""


@click.command("init")
@click.option("--preset", help="Begin with another study than the demo: tiny, methods, massive, …")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(preset: str | None, folder: Path) -> None:
    """Begin a study: write a commented config and profiles.

    FOLDER (this one, unless another is named) gets config.yaml, the schema that editors check it by, and profiles for
    Slurm and for a machine with GPUs: `xlmerge run --profile slurm` uses the first, whose lines marked EDIT depend on
    the cluster.
    """
    workflow = workflow_folder()
    contents = {
        "config.yaml": _config(_preset(preset) if preset else workflow / "config.yaml", folder.resolve().name),
        SCHEMA: (workflow / "docs" / "reference" / SCHEMA).read_text(encoding="utf-8"),
    }
    for profile in PROFILES:
        name = f"{profile}/config.yaml"
        contents[name] = (workflow / "profiles" / name).read_text(encoding="utf-8")
    there = [name for name in contents if (folder / name).exists()]
    if there:
        raise XlmergeError(f"in {folder} there is already: {', '.join(there)}; nothing was written")
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        click.echo(path)
    click.echo("Next: edit config.yaml, then `xlmerge plan` and `xlmerge run` in that folder.", err=True)


def _preset(name: str) -> Path:
    presets = {path.stem: path for path in (workflow_folder() / "presets").glob("*.yaml")}
    if name not in presets:
        raise XlmergeError(unknown("preset", name, presets))
    return presets[name]


def _config(source: Path, name: str) -> str:
    """Return a config's text with another heading and a run named after the folder."""
    body = re.sub(r"\A(#.*\n)+", "", source.read_text(encoding="utf-8")).lstrip("\n")
    run = re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip("._-") or "study"
    return f"{HEAD}\n" + re.sub(
        r"^run: .*$", f"run: {run} # everything appears under results/{run}/", body, flags=re.MULTILINE
    )
