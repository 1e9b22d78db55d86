"""The report in a real browser: it opens offline, its plots answer, its tables sort and filter, nothing overflows."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from tests.conftest import preset

LOCALES = preset("tiny")["locales"]
VIEWS = {"overview": "", "target": "#target-de-DE"}
SIZES = [(1400, "light"), (1400, "dark"), (1000, "light"), (390, "light"), (390, "dark")]


def test_it_opens_offline_without_an_error_or_a_request(open_report: Any) -> None:
    report = open_report()
    assert report.page.locator("h1").inner_text() == "When does merging beat the best single model?"
    report.draw_all()
    assert report.page.locator(".plot .main-svg").count() >= report.page.locator(".plot").count() >= 6


def test_plots_are_drawn_when_they_come_into_view(open_report: Any) -> None:
    page = open_report().page
    last = page.locator(".plot").last
    assert last.locator(".main-svg").count() == 0
    last.scroll_into_view_if_needed()
    last.locator(".main-svg").first.wait_for()


def test_hovering_over_the_heat_map_shows_the_cell(open_report: Any, tiny_run: Path) -> None:
    page = open_report().page
    page.locator("#nxn").scroll_into_view_if_needed()
    plot = page.locator("#nxn .nsewdrag").first
    plot.wait_for()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 5 / 6, box["y"] + box["height"] / 6)  # first row, last of three columns
    shown = page.locator("#nxn .hovertext").text_content().replace("\xa0", " ")
    rows, columns = (page.evaluate(f"document.querySelector('#nxn .canvas').data[0].{axis}") for axis in "yx")
    cells = pd.read_csv(tiny_run / "results/tiny/nxn/cells.csv").query("split == 'test'").set_index(["model", "locale"])
    cell = cells.loc[(rows[0], columns[2])]
    assert rows[0] in shown and columns[2] in shown
    assert f"{100 * cell['accuracy']:.1f}" in shown and f"n = {cell['n']}" in shown and "(95 %)" in shown


def test_the_heat_map_is_ordered_and_filtered(open_report: Any) -> None:
    report = open_report()
    report.draw_all()
    page, axis = report.page, "document.querySelector('#nxn .canvas').data[0]"
    order, models, _ = page.locator("#nxn select").all()
    order.select_option("name")
    assert page.evaluate(f"{axis}.y") == sorted(LOCALES)
    models.select_option("genus/Romance")
    assert page.evaluate(f"{axis}.y") == ["es-ES"] and page.evaluate(f"{axis}.x") == sorted(LOCALES)
    assert page.evaluate(f"{axis}.z.length") == 1
    models.select_option("")
    assert page.evaluate(f"{axis}.y") == sorted(LOCALES)


def test_a_choice_changes_its_plot(open_report: Any) -> None:
    report = open_report()
    report.draw_all()
    z = "document.querySelector('#matrix .canvas').data[0].z[0][0]"
    before = report.page.evaluate(z)
    report.page.locator("#matrix select").select_option(label="accuracy, %")
    assert report.page.evaluate(z) != before and 0 <= report.page.evaluate(z) <= 100


def test_a_target_has_its_page(open_report: Any) -> None:
    report = open_report()
    page = report.page
    page.locator("nav summary").click()
    page.locator("nav a[href='#target-de-DE']").click()
    assert page.locator("#target-de-DE h2").is_visible() and not page.locator("h1").is_visible()
    assert page.locator("article.view:visible").count() == 1
    page.locator("#target-de-DE .steps a[href$='-examples']").click()
    assert page.locator("#target-de-DE-examples").is_visible()
    page.locator("#target-de-DE .steps a[href='#overview']").click()
    assert page.locator("h1").is_visible() and page.locator("article.view:visible").count() == 0
    report.open("#target-es-ES-intents")  # as a link that someone was sent
    assert page.locator("#target-es-ES-intents").is_visible() and not page.locator("h1").is_visible()
    page.locator("nav a[href='#nxn']:visible, nav a[href='#transfer']").first.click()
    page.locator("#nxn .main-svg").first.wait_for()
    assert page.locator("#nxn .canvas").evaluate("e => e.querySelector('.main-svg').clientWidth > 600")


def test_a_table_is_filtered_and_sorted(open_report: Any) -> None:
    page = open_report().page
    page.locator("details:has(input) > summary").last.click()
    box = page.locator("details[open] .table").last
    rows = box.locator("tbody tr:visible")
    every = rows.count()
    box.locator("input").fill("test validation")
    assert rows.count() == 0
    box.locator("input").fill("de-DE test")
    assert 0 < rows.count() < every and box.locator("output").inner_text() == f"{rows.count()} of {every}"
    box.locator("input").fill("")
    head = box.locator("th button").first
    head.focus()
    for order in ("ascending", "descending"):
        page.keyboard.press("Enter")
        first = [row.inner_text() for row in box.locator("tbody tr td:first-child").all()]
        assert first == sorted(first, reverse=order == "descending", key=str.lower)
        assert box.locator(f"th[aria-sort={order}]").count() == 1


def test_it_is_used_with_the_keyboard(open_report: Any) -> None:
    page = open_report().page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "home"
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "3px", "what has the focus is marked"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_view_fits_its_window(open_report: Any, tmp_path: Path, width: int, scheme: str, view: str) -> None:
    """Each view is also kept as a picture, in the folder that XLMERGE_SCREENSHOTS names if there is one."""
    report = open_report(width, scheme)
    report.open(VIEWS[view])
    page = report.page
    if view == "overview":
        report.draw_all()
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
    over = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && !e.closest('.sr, svg')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert not over or width == 1000, "something is cut off"  # in between, a wide table may scroll by itself
    folder = Path(os.environ.get("XLMERGE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{view}_{scheme}_{width}.png"
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as picture:
        paper = picture.convert("L").getpixel((picture.width - 5, 5))
        assert picture.width == width and (paper < 60) == (scheme == "dark")
        assert len(picture.convert("L").getcolors() or range(300)) > 50, "the picture is blank"
