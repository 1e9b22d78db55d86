"""Code identity: which edits of the project's own modules make an artefact stale.

The fingerprint of a job is a hash of the syntax trees, without comments and docstrings, of its entry point
and of every ``workflow_scripts`` module that it imports, directly or not. Modules that are chosen by the config
(a merge method, a measure) are added by the rule that uses them.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from workflow_scripts.core.digests import digest_of_files

PACKAGE = "workflow_scripts"
ROOT = Path(__file__).resolve().parents[2]


@cache
def fingerprint(*modules: str) -> str:
    """Return the code identity of `modules` and all they import.

    Parameters
    ----------
    *modules : str
        Dotted names, with or without the leading ``workflow_scripts.``.
    """
    pending = [m if m.startswith(PACKAGE) else f"{PACKAGE}.{m}" for m in modules]
    reached: set[str] = set()
    while pending:
        module = pending.pop()
        if module not in reached:
            reached.add(module)
            pending += _imports(module)
    parts = [f"{m} {_tree_hash(m)}" for m in sorted(reached)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _file(module: str) -> Path | None:
    stem = ROOT.joinpath(*module.split("."))
    candidates = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((c for c in candidates if c.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    file = _file(module)
    if file is None:
        raise ModuleNotFoundError(f"{module} has no file below {ROOT}")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in _statements(tree):
        body = getattr(node, "body", None)
        if body and _is_docstring(body[0]):
            del body[0]
    return tree


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield all statements of a tree; expressions, which are most of it, hold none."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            pending += getattr(node, block, [])


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _tree_hash(module: str) -> str:
    return hashlib.sha256(ast.dump(_tree(module)).encode()).hexdigest()


@cache
def _imports(module: str) -> tuple[str, ...]:
    names: set[str] = set()
    for node in _statements(_tree(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(sorted(n for n in names if n.startswith(PACKAGE + ".") and _file(n)))


@cache
def data_fingerprint(*files: str) -> str:
    """Return the identity of the package's data files: templates, tables.

    Parameters
    ----------
    *files : str
        Below ``workflow_scripts/``.
    """
    return digest_of_files(*(ROOT / PACKAGE / file for file in files))
