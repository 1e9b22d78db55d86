"""The house has floors: a module imports from its own room or from floors below, never from above or from a neighbour."""

import ast
from pathlib import Path

import pytest

from workflow_scripts.core.registry import PACKAGES

ROOT = Path(__file__).resolve().parents[2] / "workflow_scripts"
FLOORS = [
    {"core"},
    {"data", "languages", "selection"},
    {"models"},
    {"evaluation"},
    {"merging", "results"},
    {"checkpoints", "similarity", "statistics", "study"},
    {"findings", "planning"},
    {"report", "running"},
    {"jobs", "cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports(file: Path) -> set[str]:
    """The project's modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("workflow_scripts.")}


def test_every_room_has_a_floor():
    assert {p.name for p in ROOT.iterdir() if p.is_dir() and p.name != "__pycache__"} == set(FLOOR)
    assert [p.name for p in ROOT.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_imports_go_down(room):
    upwards = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / room).rglob("*.py")
        for name in imports(file)
        if room_of(name) != room and FLOOR[room_of(name)] >= FLOOR[room]
    }
    assert not upwards


def file_of(module: str) -> Path | None:
    file = ROOT.parent.joinpath(*module.split(".")).with_suffix(".py")
    return file if file.is_file() else None


def modules_on_the_way(entry: str) -> set[str]:
    """The modules outside core/ that an entry point imports, directly or not, without plug-ins."""
    pending, way = [f"workflow_scripts.{entry}"], set()
    while pending:
        module = pending.pop()
        if module not in way and not module.startswith(
            ("workflow_scripts.core.", *(f"{p}." for p in PACKAGES.values()))
        ):
            way.add(module)
            names = {name for imported in imports(file_of(module)) for name in (imported, imported.rpartition(".")[0])}
            pending += [name for name in names if file_of(name)]
    return way


@pytest.mark.parametrize(("entry", "most"), [("jobs.merge_models", 15), ("jobs.evaluate_row", 9)])
def test_a_reader_opens_few_modules_to_follow_a_job(entry, most):
    way = modules_on_the_way(entry)
    assert len(way) <= most, f"{entry} leads through {', '.join(sorted(way))}"
