"""The report, written once: its sections in their order, and a page per target."""

from workflow_scripts.report.blocks import Report
from workflow_scripts.report.run_data import RunData
from workflow_scripts.report.sections import (
    earlier_work,
    effects,
    how_it_was_made,
    in_short,
    language_groups,
    merges,
    open_questions,
    prices,
    selector_finds,
    source_counts,
    target_page,
    the_data,
    transfer,
    tuned_merges,
    when_to_merge,
)

SECTIONS = (
    transfer.section,
    effects.section,
    merges.section,
    tuned_merges.section,
    prices.section,
    source_counts.section,
    selector_finds.section,
    earlier_work.zero_shot_section,
    language_groups.section,
    when_to_merge.section,
    earlier_work.claims_section,
    open_questions.section,
    the_data.data_section,
    how_it_was_made.cost_section,
    how_it_was_made.provenance_section,
)


def build_report(data: RunData) -> Report:
    """Return the report of a finished run; sections that have nothing to say are left out."""
    sections = [section(data) for section in SECTIONS]
    return Report(
        run=data.results.settings["run"],
        opening=in_short.opening(data),
        sections=[section for section in sections if section.blocks],
        pages=[target_page.target_page(data, target) for target in data.results.targets],
    )
