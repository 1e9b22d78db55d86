"""A wheel holds the workflow in the package; in a clone it lies beside it (core/environment.py knows both)."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WORKFLOW = ("Snakefile", "config.yaml", "docs/reference/config.schema.json", "envs", "presets", "profiles", "rules")


class WorkflowInWheel(BuildHookInterface):
    """Put the workflow into the package's folder, but not where the package is installed as a link to a clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add to the files of a wheel."""
        if version != "editable":
            build_data["force_include"] |= {path: f"workflow_scripts/workflow/{path}" for path in WORKFLOW}
