"""Names in the config are module names: a new method, measure or selector is one new file."""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from workflow_scripts.core.errors import XlmergeError, unknown

PACKAGES = {
    "data provider": "workflow_scripts.data.providers",
    "encoder": "workflow_scripts.models.encoders",
    "merge method": "workflow_scripts.merging.methods",
    "model measurement": "workflow_scripts.merging.measurements",
    "similarity measure": "workflow_scripts.similarity.measures",
    "selector": "workflow_scripts.selection.selectors",
}

# Kinds whose plug-ins have parameters in common → the module whose ``COMMON`` holds them: name → annotation, default.
COMMON = {"merge method": "workflow_scripts.merging.method"}


@cache
def modules(kind: str) -> dict[str, str]:
    """Return name → module of one kind, by name, without importing any of them.

    A plug-in of several files is a folder; its module bears the folder's name.
    """
    package = importlib.import_module(PACKAGES[kind])
    plugins = sorted(pkgutil.iter_modules(package.__path__), key=lambda plugin: plugin.name)
    return {p.name: f"{package.__name__}.{p.name}" + f".{p.name}" * p.ispkg for p in plugins}


def names(kind: str) -> tuple[str, ...]:
    """Return the sorted names of one kind."""
    return tuple(modules(kind))


def resolve(kind: str, name: str) -> str:
    """Return the module name of `name`; upper and lower case do not count (``URIEL`` is `uriel`).

    Raises
    ------
    XlmergeError
        If there is no such module; the message suggests the nearest name.
    """
    if name.lower() not in names(kind):
        raise XlmergeError(unknown(kind, name, names(kind)))
    return modules(kind)[name.lower()]


def load(kind: str, name: str) -> ModuleType:
    """Import the module behind a name."""
    return importlib.import_module(resolve(kind, name))
