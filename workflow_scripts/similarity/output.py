"""From a measure's context to its matrix file."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workflow_scripts.core import registry
from workflow_scripts.core.matrices import write_matrix
from workflow_scripts.core.signatures import plugin_function
from workflow_scripts.similarity.context import Context


def write_similarity(context: Context, outputs: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write a measure's matrix (rows = target, columns = source); return facts for the sidecar."""
    module = registry.load("similarity measure", settings["measure"])
    values = plugin_function("similarity measure", settings["measure"])(context, **settings["parameters"])
    matrix = pd.DataFrame(values, context.locales, context.locales).rename_axis("target")
    write_matrix(matrix, outputs["matrix"])
    return {"supervision": module.SUPERVISION, **(module.facts(context) if hasattr(module, "facts") else {})}
