"""When does merging help: the predictor, and the regret of policies."""

from workflow_scripts.analysis.html.blocks import Section
from workflow_scripts.analysis.html.run_data import RunData


def section(data: RunData) -> Section:
    """Return the section on the predictor, empty where the run has none."""
    return Section("predictor", "Can one predict when merging helps?", [])
