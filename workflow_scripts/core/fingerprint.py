"""Code identity: which edits of the project's own modules make an artefact stale.

The fingerprint of a job is a hash of the syntax trees, without comments and docstrings, of its entry point
and of every ``workflow_scripts`` module that it imports, directly or not. Modules that are chosen by the config
(a merge method, a measure) are added by the rule that uses them.
"""

import ast
import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.digests import digest_of_files
from workflow_scripts.core.paths import user_cache

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
            pending += filter(_file, _syntax(module).imports)
    parts = [f"{m} {_syntax(m).digest}" for m in sorted(reached)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def _file(module: str) -> Path | None:
    stem = ROOT.joinpath(*module.split("."))
    candidates = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((c for c in candidates if c.is_file()), None)


class Syntax(NamedTuple):
    """What counts of a module: a digest of its syntax tree, and the names of the package that it imports."""

    digest: str
    imports: list[str]


@cache
def _syntax(module: str) -> Syntax:
    """Return a module's syntax, from the user's cache where the same text has been parsed before.

    Every start of Snakemake, and so every job of a cluster, asks for more than a hundred modules. The cache's keys
    are digests of the texts; where it cannot be written, modules are parsed each time.
    """
    file = _file(module)
    if file is None:
        raise ModuleNotFoundError(f"{module} has no file below {ROOT}")
    source = file.read_bytes()
    place = user_cache() / "syntax" / f"{hashlib.sha256(_reader() + source).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError):
        return Syntax(*json.loads(place.read_text(encoding="utf-8")))
    syntax = _parsed(source)
    with contextlib.suppress(OSError), atomic_path(place, durable=False) as temporary:
        temporary.write_text(json.dumps(syntax), encoding="utf-8")
    return syntax


@cache
def _reader() -> bytes:
    """Return what a syntax depends on beside the module's text: this file and the version of Python."""
    return Path(__file__).read_bytes() + repr(sys.version_info[:2]).encode()


def _parsed(source: bytes) -> Syntax:
    tree = ast.parse(source)
    names: set[str] = set()
    for node in _statements(tree):
        body = getattr(node, "body", None)
        if body and _is_docstring(body[0]):
            del body[0]
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return Syntax(digest, sorted(n for n in names if n.startswith(f"{PACKAGE}.")))


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
def data_fingerprint(*files: str) -> str:
    """Return the identity of the package's data files: templates, tables.

    Parameters
    ----------
    *files : str
        Below ``workflow_scripts/``.
    """
    return digest_of_files(*(ROOT / PACKAGE / file for file in files))
