"""The HTML report: one file that needs nothing else."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from workflow_scripts.report.html import plotting
from workflow_scripts.report.html.overview import first_screen, sections
from workflow_scripts.report.html.run_data import RunData
from workflow_scripts.report.html.target_page import target_page
from workflow_scripts.report.html.text import breakable

TEMPLATES = Path(__file__).parents[1] / "templates" / "html"


def render_html(data: RunData) -> str:
    """Return the report as HTML: no file, font or script from elsewhere, and a policy that forbids any."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters["json"] = plotting.as_json
    environment.filters["breakable"] = breakable
    return environment.get_template("report.html.j2").render(
        data=data,
        run=data.results.settings,
        first=first_screen(data),
        sections=[section for section in sections(data) if section.blocks],
        pages=[target_page(data, target) for target in data.results.targets],
        groups=_targets_by_family(data),
        style=_text("report.css"),
        script=_text("report.js"),
        plotly=Markup(get_plotlyjs()),
    )


def _text(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _targets_by_family(data: RunData) -> dict[str, list[dict[str, Any]]]:
    """Return family → its targets, families and targets in alphabetical order: the list to navigate by."""
    found: dict[str, list[dict[str, Any]]] = {}
    for target in sorted(data.results.targets):
        row = data.language(target)
        found.setdefault(row["family"], []).append({"locale": target, "language": row["language"]})
    return dict(sorted(found.items()))
