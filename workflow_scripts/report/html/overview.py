"""The report's sections, in order."""

from workflow_scripts.report.html.blocks import Section
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.sections import (
    claims,
    cost,
    effects,
    first,
    groups,
    methods,
    predictor,
    provenance,
    selection,
    sources,
    transfer,
    zero_shot,
)


def first_screen(data: RunData) -> first.FirstScreen:
    """Return what is seen without scrolling."""
    return first.first_screen(data)


def sections(data: RunData) -> list[Section]:
    """Return all other sections of the overview."""
    return [
        transfer.section(data),
        effects.section(data),
        methods.section(data),
        sources.section(data),
        selection.section(data),
        zero_shot.section(data),
        groups.section(data),
        predictor.section(data),
        claims.section(data),
        cost.section(data),
        provenance.section(data),
    ]
