"""The report as text: Markdown in which nothing that users write is markup, a summary and advice for the terminal."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from tests.unit.report_run import full_run, run_data
from workflow_scripts.core.words import (
    number,
    p_value,
    percent,
    percent_interval,
    points,
    points_interval,
    with_minus,
)
from workflow_scripts.report.blocks import Cell, Folded, Note, Section, Table, table, text_cell
from workflow_scripts.report.contents import build_report
from workflow_scripts.report.markdown import escaped, render_markdown
from workflow_scripts.report.marks import Code, Whiskers
from workflow_scripts.report.sections import in_short
from workflow_scripts.report.sections.advice import advice
from workflow_scripts.report.sections.in_short import summary
from workflow_scripts.report.terminal import render_terminal

NASTY = ["<b>x</b>", "a|b", "*a*", "_a_", "__a__", "`a`", "[a](b)", "[a][b]", "![a](b)", "# a", "- a", "1. a", "&lt;",
         "a\\", "> a", "a\nb", "~~a~~", "<!-- a", "http_proxy", "de-DE", "+5.0 [−2.0, +12.0]", "71.3 %"]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_markdown_shows_what_users_write_as_it_is(text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(escaped(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    shown = "".join(child.content for child in tokens[1].children or [])
    assert {child.type for child in tokens[1].children or []} <= {"text", "text_special"}
    assert shown == " ".join(text.split())


def test_a_table_survives_bars_in_its_cells() -> None:
    rows = [{"name": "a|b", "code": Code("x|`y")}]
    text = render_markdown(report_of(table("c|d", rows, {"n|m": "name", "code": "code"})))
    html = re.sub(r" style=.*?>", ">", MarkdownIt("gfm-like", {"linkify": False}).render(text))
    assert re.findall(r"<t[hd]>(.*?)</t[hd]>", html) == ["n|m", "code", "a|b", "<code>x|`y</code>"]
    assert "<p>c|d</p>" in html


def test_what_cannot_be_folded_is_shown_or_named() -> None:
    inner = Note("inside")
    text = render_markdown(report_of(Folded("Open", [inner]), Folded("Large", [inner], file="all.csv")))
    assert "## Open\n\n> inside" in text and text.count("inside") == 1 and "Large: [all.csv](all.csv)." in text


def test_drawings_in_cells_are_left_out() -> None:
    text = render_markdown(report_of(Table("c", ["a", "drawn"], [[text_cell("x"), Cell(Whiskers("w", 0, 0, 1), 1.0)]])))
    assert "drawn" not in text and "| x" in text


def report_of(*blocks):
    report = build_report(run_data())
    return replace(report, opening=Section("overview", "Title", blocks), sections=[])


def test_the_markdown_report_has_every_section_and_table() -> None:
    report = build_report(full_run())
    text = render_markdown(report)
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert text == render_markdown(build_report(full_run()))
    for section in report.sections:
        assert f"\n## {section.title}\n" in text
    heads = re.findall(r"<th[^>]*>(.*?)</th>", html)
    for head in ("target", "verdict", "over targets and seeds", "p adjusted", "range of differences", "mean rank (chance)",
                 "family", "genus", "policy", "stage", "peak memory", "its accuracy", "in files"):  # fmt: skip
        assert head in heads, head
    assert "over families" not in heads, "nothing is known of it"
    for picture in ("nxn_heatmap", "key_performance_comparison", "merge_improvement_analysis", "zero_shot_comparison"):
        assert f"]({picture}.png)" in text
    assert "Not formed: IncTar − self (labelled training)" in text
    assert not re.search(r"\b(nan|None|inf)\b|[<>]function|\{\}", text)


def test_nothing_that_users_write_is_markup_in_a_whole_report() -> None:
    words = ["<b>x</b>|y", "`a`|<i>z</i>", "<script>alert(1)</script>`"]
    run = full_run()
    results = replace(
        run.results,
        settings=run.results.settings | {"run": "r|`<b>x</b>", "labels": words, "base": {"name": "b|<b>`q`</b>"}},
        languages={k: row | {"language": words[0], "family": words[1]} for k, row in run.results.languages.items()},
    )
    examples = {locale: table.assign(text=words * 2) for locale, table in run.examples.items()}
    counted = {place: facts | {"ignored": {words[2]: 3}} for place, facts in run.counted.items()}
    text = render_markdown(build_report(replace(run, results=results, examples=examples, counted=counted)))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    assert not {token.type for t in tokens for token in [t, *(t.children or [])]} & {"html_block", "html_inline"}
    shown = "\n".join("".join(c.content for c in t.children or []) for t in tokens if t.type == "inline")
    for word in ["r|`<b>x</b>", "b|<b>`q`</b>", *words]:
        assert word in shown, word
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    for body in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        rows = [row.count("<td") + row.count("<th>") + row.count("<th ") for row in body.split("</tr>")[:-1]]
        assert len(set(rows)) == 1, body[:500]


def test_the_summary_is_about_a_dozen_lines() -> None:
    lines = render_terminal(summary(full_run())).splitlines()
    assert 8 <= len(lines) <= 20 and max(map(len, lines)) <= 120
    text = re.sub(r"\s+", " ", " ".join(lines))
    assert "small: 3 targets, 2 experiments, 12 merges, 2 seeds" in text and "18 test sentences" in text
    assert "+5.0 points against that best single model; it is better for 3 of 3 targets, worse for 0." in text
    assert "+5.0 [−2.0, +12.0]; these are too few targets to tell" in text
    assert "merge for 3 targets; test data, which were not asked, agree for 0 of 3 targets." in text
    assert "- merge: de-DE, ar-SA, th-TH (test data do not confirm it)" in text
    assert "Earlier claims: 1 cannot tell" in text
    assert "This run cannot test the difference" in re.sub(r"\s+", " ", render_terminal(summary(run_data())))


def test_advice_that_test_data_confirm_is_told_apart_in_the_summary() -> None:
    rows = pd.DataFrame(
        [("de-DE", "merge", "medium"), ("th-TH", "merge", "low"), ("en-US", "single source", "high")],
        columns=["target", "advice", "confidence"],
    )
    assert in_short._advised(rows) == ["merge: de-DE, th-TH (test data do not confirm it)", "single source: en-US"]


def test_advice_for_one_target_says_what_it_was_chosen_from() -> None:
    data = full_run()
    systems = data.results.systems[data.results.systems["target"] == "th-TH"].fillna({"model": ""})
    text = render_terminal(advice(systems, data.recommendations, "th-TH"))
    first, reason = text.splitlines()[:2]
    assert first.startswith("th-TH, with labelled validation data: merge average_NXN_k2_exc, expected accuracy 65.0 %")
    assert first.endswith("confidence low.") and reason.startswith("The merge average_NXN_k2_exc reaches")
    options = [line.split("  ")[0] for line in text.splitlines() if " %" in line and "  " in line]
    assert options[1:3] == ["the target's own model", "best other model, chosen on validation data (de-DE)"]
    assert options[-2:] == ["merge average_NXN_k2_exc", "merge ties_REAL_k2_exc"]
    assert "One seed" not in text
    one = render_terminal(advice(systems, data.recommendations.assign(seeds=1), "th-TH"))
    assert one.endswith("One seed: descriptive, training noise is not in the intervals.\n")


def test_numbers_look_like_this() -> None:
    assert percent(0.7134) == "71.3\u202f%" and percent(float("nan")) == "–" == percent(None)
    assert (points(0.012), points(-0.004), points(0.0), points(-0.0001)) == ("+1.2", "−0.4", "0.0", "0.0")
    assert points_interval(0.01, -0.02, 0.04) == "+1.0 [−2.0, +4.0]" and points_interval(0.01, None, None) == "+1.0"
    assert percent_interval(0.5, 0.4, 0.6) == "50.0\u202f% [40, 60]" and percent_interval(0.5, None, None)[-1] == "%"
    assert number(12345.6) == "12\u202f346" and number(-0.25, 2) == "−0.25"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0004, "< 0.001"), (0.001, "0.001"), (0.0546875, "0.055"), (0.0996, "0.100"), (0.1, "0.10"), (0.2549, "0.25"),
     (1.0, "1.00"), (float("nan"), "–"), (None, "–")],
)  # fmt: skip
def test_p_values_are_rounded_one_way(value: float | None, shown: str) -> None:
    assert p_value(value) == shown


def test_minus_signs_stand_before_numbers_only() -> None:
    text = "low-resource, 5-10 of v1.-2: -0.3 [-1.2, +0.4]"
    assert with_minus(text) == "low-resource, 5-10 of v1.-2: −0.3 [−1.2, +0.4]"
