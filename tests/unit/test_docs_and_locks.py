"""What is generated or written twice must agree."""

import json
import re
import subprocess
import tomllib

import yaml

from docs.generate import config_markdown, config_schema
from tests.conftest import ROOT
from workflow_scripts.study.study import load_study


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return {canonical(name): version for name, version in pins.items()}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_config_documentation_is_up_to_date() -> None:
    remedy = "run `make docs` and commit"
    assert (ROOT / "docs/reference/config.md").read_text(encoding="utf-8") == config_markdown(), remedy
    assert (ROOT / "docs/reference/config.schema.json").read_text(encoding="utf-8") == config_schema(), remedy


def test_every_option_has_a_description() -> None:
    schema = json.loads(config_schema())
    models = {**schema["$defs"], "Run": schema}
    blank = [
        f"{name}.{key}"
        for name, model in models.items()
        for key, value in model.get("properties", {}).items()
        if "description" not in value and key != "provider"
    ]
    assert not blank


def test_conda_environment_has_the_locked_versions() -> None:
    content = yaml.safe_load((ROOT / "envs/xlmerge.yaml").read_text(encoding="utf-8"))
    pinned = dict(line.split("==") for line in content["dependencies"][-1]["pip"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {canonical(re.split(r"[<>=\[; ]", d)[0]) for d in project["dependencies"]}
    assert {canonical(name) for name in pinned} == wanted
    assert {canonical(name): version for name, version in pinned.items()} == {n: locked()[n] for n in wanted}


def test_every_preset_is_a_valid_run() -> None:
    for path in [ROOT / "config.yaml", *(ROOT / "presets").glob("*.yaml")]:
        study = load_study(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert study.experiments, path


def test_the_demo_has_the_languages_it_promises() -> None:
    study = load_study(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    genera = [study.languages[name]["genus"] for name in study.run.locales]
    scripts = {study.languages[name]["script"] for name in study.run.locales}
    assert len(study.run.locales) == 9 and len(study.labels) >= 16
    assert genera.count("Germanic") == 3 and genera.count("Romance") == 3 and len(scripts) == 4
    assert len(study.experiments) == 9


def test_no_results_are_committed() -> None:
    done = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() in (["results/README.md"], [])
