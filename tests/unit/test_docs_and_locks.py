"""What is generated or written twice must agree."""

import json
import re
import subprocess
import tomllib
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from docs.generate import SECTIONS, pages
from tests.conftest import ROOT
from tests.unit.test_floors import FLOOR
from workflow_scripts.core.matrices import write_matrix
from workflow_scripts.core.paths import Paths
from workflow_scripts.study.config import Run
from workflow_scripts.study.study import load_study


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return {canonical(name): version for name, version in pins.items()}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def tracked(*patterns: str) -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", pages())
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs/reference" / name).read_text(encoding="utf-8") == pages()[name], "run `make docs` and commit"


def test_every_block_of_the_config_has_a_section() -> None:
    schema = json.loads(pages()["config.schema.json"])
    blocks = {"Run", *schema["$defs"]}  # those of data providers bear their module's name
    assert {model.__name__ for _, model in SECTIONS} >= {b for b in blocks if not b.endswith("__Settings")}


def test_every_page_is_in_the_navigation() -> None:
    class Loader(yaml.SafeLoader):
        """Reads over tags of the site's generator."""

    Loader.add_multi_constructor("", lambda loader, suffix, node: None)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"]
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", json.dumps(nav))) == there


def test_pages_that_code_and_comments_name_exist() -> None:
    """Within the site the build checks links; this holds for the rest."""
    missing = []
    for path in tracked():
        if path.suffix not in {".png", ".csv", ".lock"}:
            text = path.read_text(encoding="utf-8")
            missing += [
                (path, name)
                for name in re.findall(r"docs/[\w/-]+\.(?:md|json|png)", text)
                if not (ROOT / name).exists()
            ]
    assert not missing


@pytest.mark.parametrize("path", [p for p in tracked("*.md") if ROOT / "docs" not in p.parents], ids=str)
def test_links_outside_the_site_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (path.parent / link).exists()]


def config_blocks() -> list[tuple[str, dict[str, Any]]]:
    """Return the blocks of YAML in the docs that show a part of a config."""
    found = []
    for path in tracked("*.md"):
        for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M):
            content = yaml.safe_load(block)
            if isinstance(content, dict) and content.keys() <= Run.model_fields.keys():
                found.append((f"{path.relative_to(ROOT)}: {block.splitlines()[0]}", content))
    return found


@pytest.mark.parametrize("block", [pytest.param(block, id=name) for name, block in config_blocks()])
def test_configs_in_the_docs_are_valid(block: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config = {key: value for key, value in default.items() if key != "pivot" or "locales" not in block} | block
    (tmp_path / "my_data").mkdir()
    for locale in config["locales"]:
        (tmp_path / f"my_data/{locale}.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    assert load_study(config).experiments


def test_every_option_has_a_description() -> None:
    schema = json.loads(pages()["config.schema.json"])
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
    assert len(study.run.locales) == 6 and len(study.labels) == 10
    assert genera.count("Germanic") == 2 and genera.count("Romance") == 2 and len(scripts) == 3
    assert len(study.experiments) == 9


def test_no_results_are_committed() -> None:
    done = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() in (["results/README.md"], [])


def test_the_design_shows_every_room_on_its_floor() -> None:
    text = (ROOT / "docs/explanation/design.md").read_text(encoding="utf-8")
    assert {room: int(floor) for floor, room in re.findall(r"^\| (\d) \| `(\w+)/` \|", text, re.M)} == FLOOR


def test_every_folder_of_a_run_is_explained() -> None:
    text = (ROOT / "docs/reference/results.md").read_text(encoding="utf-8")
    explained = {path.split("/")[0] for path in re.findall(r"^\| `([^`]+)`", text, re.M)}
    made = {str(field.default).split("/")[0] for field in fields(Paths)} - {"", Paths.lock}
    assert made == explained


# A changelog names what is gone.
@pytest.mark.parametrize("page", tracked("*.md", ":!CHANGELOG.md"), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_modules_that_the_docs_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.])(?:workflow_scripts|tests|presets|profiles|benchmarks|rules)/[\w/.-]*\w", text)
    for module in re.findall(r"(?<![\w/.])workflow_scripts(?:\.\w+)+", text):
        stem = module.replace(".", "/")
        named.append(stem if (ROOT / stem).is_dir() else f"{stem}.py")
    members = {name for name in named if (ROOT / f"{Path(name).parent}.py").exists()}  # a module's function
    assert not {name for name in named if not (ROOT / name).exists()} - members


def test_the_citation_and_the_changelog_have_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert f"## [{version}] - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_what_contributors_are_told_to_copy_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = re.findall(r"`([\w/.-]+(?:\.py|\.md|\.yaml|/))`", text)
    rooms = ("", "data/providers", "merging/methods", "findings/claims")
    folders = (ROOT, *(ROOT / "workflow_scripts" / room for room in rooms))
    made = {"site/", "dist/"}
    assert [n for n in names if n not in made and not any((f / n).exists() for f in folders)] == []


def test_the_matrices_are_read_as_the_docs_say_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reference/results.md").read_text("utf-8"), re.DOTALL)
    locales = ["en-US", "de-DE", "es-ES", "fr-FR"]
    values = [[0.9, 0.5, 0.5, 0.5], [0.5, 0.8, 0.5, 0.5], [0.5, 0.4, 0.9, 0.5], [0.5, 0.2, 0.5, 0.9]]
    matrix = pd.DataFrame(values, pd.Index(locales, name="model"), locales)
    (tmp_path / "results/demo/nxn").mkdir(parents=True)
    write_matrix(matrix, tmp_path / "results/demo/nxn/evaluation_matrix_validation.csv")
    monkeypatch.chdir(tmp_path)
    told: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(snippet, told)
    assert list(told["sources"].index) == ["en-US", "es-ES", "fr-FR"] and told["ratio"] == 0.625
