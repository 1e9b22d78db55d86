"""A name means one thing in the house: no two modules share a file name, no two classes a name; no module is a crumb."""

import ast
from collections import Counter
from pathlib import Path

from workflow_scripts.core.registry import PACKAGES

ROOT = Path(__file__).resolve().parents[2] / "workflow_scripts"
SHORTEST = 30  # lines of a module that is a topic of its own
PLUGINS = {ROOT.joinpath(*package.split(".")[1:]) for package in PACKAGES.values()}
FILES = sorted(file for file in ROOT.rglob("*.py") if file.name != "__init__.py")
MODULES = [file for file in FILES if not any(folder in PLUGINS for folder in file.parents)]

# What still stands twice, or is short. A line that no longer holds fails: take it out.
SHARED_FILE_NAMES: set[str] = set()
SHARED_CLASS_NAMES: set[str] = set()
SHORT: set[str] = {"core/errors.py"}  # what most modules import is kept small


def classes(file: Path) -> list[str]:
    """The classes at the top of a module."""
    return [node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]


def test_no_two_modules_share_a_file_name():
    """But plug-ins of one registry, which bear the names that the config gives them."""
    count = Counter(file.name for file in MODULES)
    assert {name for name, times in count.items() if times > 1} == SHARED_FILE_NAMES


def test_no_two_classes_share_a_name():
    """But the `Settings` of data providers."""
    count = Counter(name for file in FILES for name in classes(file))
    assert {name for name, times in count.items() if times > 1 and name != "Settings"} == SHARED_CLASS_NAMES


def test_a_module_is_a_topic():
    """A module below 30 lines is a plug-in, the guard of a rule, or belongs into its user."""
    lines = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {name for name, n in lines.items() if n < SHORTEST and not name.startswith("jobs/")} == SHORT
