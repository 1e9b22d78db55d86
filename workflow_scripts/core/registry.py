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


@cache
def names(kind: str) -> tuple[str, ...]:
    """Return the sorted names of one kind, without importing any of them."""
    package = importlib.import_module(PACKAGES[kind])
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")))


def resolve(kind: str, name: str) -> str:
    """Return the module name of `name`; upper and lower case do not count (``URIEL`` is `uriel`).

    Raises
    ------
    XlmergeError
        If there is no such module; the message suggests the nearest name.
    """
    if name.lower() not in names(kind):
        raise XlmergeError(unknown(kind, name, names(kind)))
    return f"{PACKAGES[kind]}.{name.lower()}"


def load(kind: str, name: str) -> ModuleType:
    """Import the module behind a name."""
    return importlib.import_module(resolve(kind, name))
