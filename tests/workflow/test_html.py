"""The HTML report of the tiny run is valid: no broken link, every figure described, ids unique, foreign text marked."""

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

import html5lib
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from tests.conftest import command, preset, snakemake, succeeded
from tests.terminal import Terminal

LOCALES = preset("tiny")["locales"]


@pytest.fixture(scope="module")
def text(tiny_run: Path) -> str:
    """The report without the plotting library's own code."""
    found = (tiny_run / "results/tiny/report/report.html").read_text(encoding="utf-8")
    library = get_plotlyjs()
    assert library in found
    return found.replace(library, "")


@pytest.fixture(scope="module")
def document(text: str) -> Any:
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    root = parser.parse(text)
    assert not parser.errors, parser.errors[:5]
    return root


def described(element: Element) -> bool:
    return bool(element.get("aria-label") or element.get("alt") or element.get("aria-labelledby"))


def test_ids_are_unique(document: Any) -> None:
    ids = Counter(e.get("id") for e in document.iter() if e.get("id"))
    assert len(ids) > 20 and not [name for name, count in ids.items() if count > 1]


def test_no_link_is_broken(document: Any, tiny_run: Path) -> None:
    ids = {e.get("id") for e in document.iter()}
    links = [e.get("href") for e in document.iter("a")]
    folder = tiny_run / "results/tiny/report"
    inside = [link for link in links if link.startswith("#")]
    beside = [link for link in links if not link.startswith("#")]
    assert len(inside) > 20 and "report.md" in beside
    assert not [link for link in inside if unquote(link[1:]) not in ids]
    assert not [link for link in beside if not (folder / link).is_file()]
    labelled = [e.get("aria-labelledby") for e in document.iter() if e.get("aria-labelledby")]
    assert not [name for name in labelled if name not in ids]


def test_every_figure_has_alternative_text_and_every_field_a_label(document: Any) -> None:
    drawn = [e for e in document.iter() if e.tag.endswith("svg") or e.tag == "img" or e.get("role") == "img"]
    assert len(drawn) > 20 and all(described(e) for e in drawn)
    assert all(figure.find("figcaption") is not None for figure in document.iter("figure"))
    assert all("".join(table.find("caption").itertext()).strip() for table in document.iter("table"))
    parents = {child: parent for parent in document.iter() for child in parent}
    assert all(parents[e].tag == "label" for tag in ("select", "input") for e in document.iter(tag))


def test_sentences_say_their_language(document: Any) -> None:
    sentences = [e for e in document.iter("span") if e.get("class") == "sentence"]
    assert {e.get("lang") for e in sentences} <= set(LOCALES) and all(e.get("dir") for e in sentences)


def test_every_target_has_a_page_with_its_parts(document: Any) -> None:
    pages = {e.get("id"): e for e in document.iter("article")}
    assert set(pages) == {f"target-{name}" for name in LOCALES}
    for name, page in pages.items():
        ids = {e.get("id") for e in page.iter()}
        assert {f"{name}-{part}" for part in ("sources", "merges", "intents", "examples")} <= ids
        assert len(list(page.iter("table"))) >= 4


def test_sections_come_in_their_order(document: Any) -> None:
    overview = next(e for e in document.iter("div") if e.get("id") == "overview")
    found = [e.get("id") for e in overview.iter("section")]
    order = ["advice", "transfer", "effects", "methods", "sources", "selection", "zero-shot", "groups"]
    assert found[: len(order)] == order and found[-2:] == ["cost", "provenance"]


def test_it_is_honest_and_complete(text: str) -> None:
    visible = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    visible = re.sub(r"<[^>]+>", " ", visible)
    assert "One seed: descriptive" in visible and "oracle" in visible
    assert not re.search(r"\b(nan|None|inf)\b", visible), "a number that is not known is a dash"


def test_the_terminal_has_the_answer_and_a_dry_run_stays_clean(tiny_copy: Path) -> None:
    (tiny_copy / "results/tiny/report/report.html").unlink()
    dry = succeeded(snakemake(tiny_copy, preset("tiny"), "--dry-run"))
    assert "✓" not in dry and "The report:" not in dry
    text = succeeded(snakemake(tiny_copy, preset("tiny")))
    assert "tiny: 3 targets, 4 experiments, 12 merges, 1 seed" in text and "one seed" in " ".join(text.split())
    assert f"The report: {tiny_copy}/results/tiny/report/report.html" in text and "✓" not in text, (
        "no stage had anything to do"
    )
    matrix = tiny_copy / "results/tiny/nxn/evaluation_matrix.csv"
    own = pd.read_csv(matrix, index_col=0).to_numpy().diagonal().mean()
    matrix.unlink()
    told = succeeded(snakemake(tiny_copy, preset("tiny")))
    assert f"✓ transfer: mean self accuracy {100 * own:.1f} %" in told


def test_a_run_that_goes_on_is_told_in_a_small_terminal(tiny_copy: Path) -> None:
    results = tiny_copy / "results/tiny"
    (results / "report/report.html").unlink()
    shutil.rmtree(results / "merge/de-DE")
    shutil.rmtree(results / "models/es-ES")
    terminal = Terminal()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.follower)
    words = command(tiny_copy, preset("tiny"))
    assert subprocess.call(words, cwd=tiny_copy, env={**os.environ, "TERM": "xterm"}, **streams) == 0
    seen = terminal.seen()
    told = seen[seen.index("run tiny: working out what is to be done") + 1 : seen.index("")]
    assert re.fullmatch(r"run tiny: \d+ jobs, about \d+ \w+ on 1 core, \d+ MB new on disk", told[0])
    stages = [line.partition(":")[0] for line in told[1:]]
    assert stages[:5] == ["✓ training", "✓ transfer", "✓ selection", "✓ merging", "✓ evaluation"]
    assert len(told) == 7, "the last line is a long one, and nothing is left of the bar"
    assert told[1].startswith("✓ training: 3 of 3 models") and told[4] == "✓ merging: done for 3 of 3 targets"
    assert "".join(seen[-2:]).endswith(f"The report: {results}/report/report.html")


def test_snakemakes_own_report_carries_the_figures_with_captions(tiny_copy: Path) -> None:
    succeeded(snakemake(tiny_copy, preset("tiny"), "--report", "all.html"))
    text = (tiny_copy / "all.html").read_text(encoding="utf-8")
    assert len(re.findall(r'"caption": "<p>[A-Z]', text)) == 5, "the report and four figures"
    assert '"Figures"' in text and '"Report"' in text and "ordered by family and genus" in text
