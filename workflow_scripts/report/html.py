"""The report as HTML: one file that needs nothing else."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from workflow_scripts.core.words import percent
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Plot, Report, Table, TargetPage
from workflow_scripts.report.marks import Code, Emphasis, Link, Remark, Sentence, Strong, Tag, Text, Verdict, Whiskers

TEMPLATES = Path(__file__).with_name("templates")
MOST_UNFILTERED = 8  # rows of a table without a field that filters them
MOST_NARROW = 10  # columns of a heat map whose cells hold a number on a telephone
SHADES = 5  # of a drawing's squares
RIGHT_TO_LEFT = {"Adlm", "Arab", "Hebr", "Nkoo", "Rohg", "Syrc", "Thaa"}
SIGNS = {
    "better": ("good", "▲"),
    "worse": ("bad", "▼"),
    "supported": ("good", "▲"),
    "contradicted": ("bad", "▼"),
    "no relevant difference": ("plain", "≈"),
    "cannot tell": ("plain", "◆"),
    "too few targets to tell": ("plain", "◇"),
    "merge": ("good", "▲"),
    "single source": ("plain", "●"),
    "train on the labels": ("warn", "✐"),
    "fine-tune needed": ("bad", "✎"),
    "oracle": ("warn", "☉"),
}
SIMPLE = {
    Strong: Markup("<b>{}</b>"),
    Emphasis: Markup("<em>{}</em>"),
    Code: Markup("<code>{}</code>"),
    Tag: Markup('<span class="gold">{}</span>'),
    Remark: Markup("<br><small>{}</small>"),
}
WHISKERS = Markup(
    '<svg class="glyph" viewBox="0 0 100 10" role="img" aria-label="{}"><path d="M0 5H100" class="axis"/>'
    '<path d="M{:.1f} 5H{:.1f}" class="range"/><circle cx="{:.1f}" cy="5" r="3"/></svg>'
)


def render_html(report: Report) -> str:
    """Return the report as HTML: no file, font or script from elsewhere, and a policy that forbids any."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters |= {"inline": inline, "breakable": breakable, "json": plots.as_json, "percent": percent}
    environment.globals |= {"dense": _dense, "payload": _payload, "shade": _shade, "filtered": _filtered}
    environment.tests["kind"] = lambda block, name: type(block).__name__ == name
    return environment.get_template("report.html.j2").render(
        report=report,
        families=_by_family(report.pages),
        style=_text("report.css"),
        script=_text("report.js"),
        plotly=Markup(get_plotlyjs()),
    )


def inline(text: Text) -> Markup:
    """Return text with its marks as HTML."""
    match text:
        case tuple():
            shown = Markup("").join(inline(part) for part in text)
        case str():
            shown = escape(text)
        case Link(words, address):
            shown = Markup('<a href="{}">{}</a>').format(address, words)
        case Verdict(word):
            shown = chip(word)
        case Sentence(words, locale, script):
            shown = foreign(words, locale, script)
        case Whiskers(words, value, low, high):
            shown = WHISKERS.format(words, 100 * low, 100 * high, 100 * value)
        case _:
            shown = SIMPLE[type(text)].format(text.text)
    return shown


def chip(word: str) -> Markup:
    """Return a verdict or an advice as a coloured word with a sign, so that colour is never alone."""
    kind, sign = SIGNS.get(word, ("plain", "○"))
    return Markup('<span class="chip {}"><span aria-hidden="true">{}</span> {}</span>').format(kind, sign, word)


def foreign(text: str, locale: str, script: str) -> Markup:
    """Return a sentence with its language and direction, so that browsers choose the right font and order."""
    direction = "rtl" if script in RIGHT_TO_LEFT else "auto"
    return Markup('<span class="sentence" lang="{}" dir="{}">{}</span>').format(locale, direction, text)


def breakable(text: Text) -> Markup:
    """Return what stands in a cell: a plain name may be broken after its underscores."""
    return Markup("_<wbr>").join(text.split("_")) if isinstance(text, str) else inline(text)


def _filtered(table: Table) -> bool:
    return len(table.rows) > MOST_UNFILTERED


def _dense(plot: Plot) -> bool:
    """Tell whether it is a heat map with too many columns for numbers on a narrow screen."""
    return any(trace["type"] == "heatmap" and len(trace["x"]) > MOST_NARROW for trace in plot.figure["data"])


def _payload(plot: Plot) -> dict[str, Any]:
    """Return what the page's script reads."""
    choices = [list(choice.options.values()) for choice in plot.choices]
    return {"figure": plot.figure, "matrix": plot.matrix, "choices": choices}


def _shade(share: float) -> int:
    return min(SHADES, 1 + int(SHADES * share))


def _text(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _by_family(pages: Any) -> dict[str, list[TargetPage]]:
    """Return family → its pages, families and targets in alphabetical order: the list to navigate by."""
    families: dict[str, list[TargetPage]] = {}
    for page in sorted(pages, key=lambda page: page.locale):
        families.setdefault(page.family, []).append(page)
    return dict(sorted(families.items()))
