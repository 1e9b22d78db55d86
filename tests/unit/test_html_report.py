"""The HTML report's parts, on a small run made by hand."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from tests.unit.html_run import LABELS, LOCALES, TEXTS, run_data
from workflow_scripts.report.html import plotting
from workflow_scripts.report.html.blocks import Cell, by_number, number_cell, text_cell
from workflow_scripts.report.html.confusion import confusion, confusion_map, intent_table
from workflow_scripts.report.html.examples import changes
from workflow_scripts.report.html.page import TEMPLATES, render_html
from workflow_scripts.report.html.sections import claims, effects, first, predictor, sources, transfer
from workflow_scripts.report.html.target_page import target_page
from workflow_scripts.report.html.text import chip, foreign, percent, points, points_interval, with_minus

COMPARISON = {
    "family": "primary", "tier": "labelled validation", "contrast": "merge − best_zero_shot_val",
    "experiment": "chosen on validation", "system": "merge", "baseline": "best_zero_shot_val",
    "scope": "across targets", "target": "", "seeds": 2, "targets": 3, "n": 18, "clusters": 9, "effect": 0.05,
    "low": -0.02, "high": 0.12, "p": 0.25, "p_adjusted": 0.25, "correction": "Holm", "test": "sign-flip", "mde": 0.2,
    "improved": 3, "hurt": 0, "improved_chance_low": 0, "improved_chance_high": 3, "verdict": "too few targets to tell",
}  # fmt: skip
ADVICE = {
    "language": "German", "tier": "labelled validation", "primary": True, "advice": "merge",
    "what": "average_NXN_k2_exc", "expected_accuracy": 0.65, "low": 0.5, "high": 0.8, "confidence": "low",
    "gap_to_self": 0.25, "few_shot_accuracy": float("nan"), "reason": "The merge average_NXN_k2_exc reaches 65.0 %, the source th-TH 60.0 %.",
}  # fmt: skip
MEAN = {"value": 0.02, "low": None, "high": None}
TIER = {
    "targets": 3, "merges": 6, "descriptive": True, "single_source": ["best_zero_shot_val"],
    "statement": "`never merge` loses least: regret -1.0 points.",
    "policies": [
        {"policy": "never merge", "description": "the best single source", "merges": 0.0, "regret": MEAN,
         "less_than_never": MEAN, "more_than_best": MEAN},
    ],
    "predictor": {
        "leave_one_target_out": {"r2": -0.1, "mae": 0.05, "correlation": None}, "mean_effect": 0.05, "p": None,
        "penalty": 1.0, "features": [{"name": "k", "tier": "none", "coefficient": 0.01, "mean": 2, "sd": 1}],
    },
}  # fmt: skip


def full_run():
    """The run with statistics, advice, claims and a predictor."""
    on_target = COMPARISON | {"family": "exploratory", "scope": "target", "experiment": "average_NXN_k2_exc"}
    claim = {"claim": "c", "statement": "Merging helps.", "verdict": "undecided", "effect": 0.05, "low": -0.1,
             "high": 0.2, "n": 3, "unit": "targets", "detail": "+5 points"}  # fmt: skip
    return run_data(
        statistics=pd.DataFrame([COMPARISON, *(on_target | {"target": t} for t in LOCALES)]),
        recommendations=pd.DataFrame([{"target": t} | ADVICE for t in LOCALES]),
        claims=pd.DataFrame([claim]),
        predictor={"targets": 3, "tiers": {"labelled validation": TIER}},
    )


def test_numbers_look_like_this() -> None:
    assert percent(0.7134) == "71.3\u202f%" and percent(float("nan")) == "–"
    assert (points(0.012), points(-0.004), points(0.0), points(-0.0001)) == ("+1.2", "−0.4", "0.0", "0.0")
    assert points_interval(0.01, -0.02, 0.04) == "+1.0 [−2.0, +4.0]" and points_interval(0.01, None, None) == "+1.0"


def test_minus_signs_stand_before_numbers_only() -> None:
    assert (
        with_minus("low-resource, 5-10 of v1.-2: -0.3 [-1.2, +0.4]") == "low-resource, 5-10 of v1.-2: −0.3 [−1.2, +0.4]"
    )


def test_what_is_not_known_sorts_last() -> None:
    rows = by_number([[number_cell("–", float("nan"))], [number_cell("1", 1)], [number_cell("2", 2)]], 0, True)
    assert [row[0].show for row in rows] == ["2", "1", "–"]


def test_text_is_escaped_and_names_may_break() -> None:
    assert text_cell("a_b").show == "a_<wbr>b" and text_cell("<i>_").show == "&lt;i&gt;_<wbr>"
    assert "&lt;b&gt;" in foreign(TEXTS["de-DE"], "de-DE", "Latn")
    assert 'lang="ar-SA" dir="rtl"' in foreign(TEXTS["ar-SA"], "ar-SA", "Arab")


def test_a_verdict_is_never_colour_alone() -> None:
    assert [re.sub("<.*?>", "", chip(word))[0] for word in ("supported", "contradicted", "undecided")] == [
        "▲",
        "▼",
        "◆",
    ]


def test_json_cannot_leave_its_script() -> None:
    text = plotting.as_json({"a": "</script><b>", "n": [float("nan"), np.float64(1.5)]})
    assert "<" not in text and json.loads(text) == {"a": "</script><b>", "n": [None, 1.5]}


def test_the_chosen_merge_needs_no_training_data() -> None:
    assert set(run_data().results.chosen.values()) == {"average_NXN_k2_exc"}  # ties_REAL is better, but needs them


def test_a_target_with_nothing_else_takes_what_needs_training_data() -> None:
    data = run_data()
    rows = data.results.systems
    alone = rows[(rows["target"] != "th-TH") | (rows["experiment"] != "average_NXN_k2_exc")]
    plan = {k: e for k, e in data.results.plan.items() if not k.startswith("average_NXN_k2_exc/th-TH")}
    chosen = replace(data.results, systems=alone, plan=plan).chosen
    assert chosen == {"de-DE": "average_NXN_k2_exc", "ar-SA": "average_NXN_k2_exc", "th-TH": "ties_REAL_k2_exc"}


def test_titles_tell_experiments_apart() -> None:
    data = run_data()
    settings = {
        "a": data.results.experiments["average_NXN_k2_exc"],
        "b": data.results.experiments["average_NXN_k2_exc"],
    }
    assert replace(data.results, experiments=settings).titles == {"a": "a", "b": "b"}


def test_confusion_counts_all_seeds() -> None:
    gold = np.array([0, 0, 1])
    counts = confusion(gold, np.array([[0, 1, 1], [0, 0, 2]]), 3)
    assert counts.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_intents_say_recall_and_the_main_confusion() -> None:
    table = intent_table(run_data(), "de-DE")
    rows = {row[0].show: [cell.show for cell in row[1:]] for row in table.rows}
    assert [cell[0].show for cell in table.rows] == ["off", "dim", "on"]  # by change
    assert rows["on"] == ["2", "0\u202f%", "100\u202f%", "+100", "100\u202f%", "–"]
    assert rows["off"] == ["2", "100\u202f%", "75\u202f%", "−25", "100\u202f%", "on (25\u202f%)"]


def test_confusion_map_has_a_titled_square_per_pair() -> None:
    drawn = confusion_map(run_data(), "de-DE")
    assert drawn.labels == LABELS and len(drawn.squares) == 4
    assert "off is taken for on: 25\u202f%" in drawn.worst
    assert 'class="w2" d="M0 1h1v1h-1z"><title>off → on: 25\u202f%' in "".join(drawn.squares)


def test_examples_are_what_changed_one_per_cluster() -> None:
    found = changes(run_data(), "th-TH")
    assert (found.n, found.n_fixed, found.n_broken) == (6, 2, 1)
    assert [(e.gold, e.single, e.merge) for e in found.fixed] == [("on", "off", "on")]  # two items of one cluster
    assert [(e.gold, e.merge) for e in found.broken] == [("off", "on")]
    assert "เปิดไฟ 0" in found.fixed[0].text and 'lang="th-TH"' in found.fixed[0].text


def test_heat_map_orders() -> None:
    orders = transfer.heat_map_orders(run_data())
    assert orders["family and genus"] == ["ar-SA", "de-DE", "th-TH"]
    assert all(sorted(order) == sorted(LOCALES) for order in orders.values())


def test_clustering_puts_alike_locales_side_by_side() -> None:
    data = run_data()
    cells = data.cells.copy()
    for pair in (("de-DE", "th-TH"), ("th-TH", "de-DE")):
        cells.loc[pair, "accuracy"] = 0.88
    order = transfer.heat_map_orders(run_data(cells=cells))["similar transfer (clustering)"]
    assert abs(order.index("de-DE") - order.index("th-TH")) == 1


def test_accuracy_by_size_starts_with_the_first_source_and_ends_with_all() -> None:
    table = sources.accuracy_by_size(run_data()).set_index(["series", "k"])["accuracy"]
    assert table["average · NXN"].to_dict() == {1: 0.6, 2: pytest.approx(0.65)}
    assert table["average_all"].to_dict() == {2: pytest.approx(0.62)}


def test_forest_has_the_intervals_of_the_statistics() -> None:
    frame = effects.effects_per_target(full_run(), None)
    assert frame.loc["de-DE", ["effect", "low", "high"]].tolist() == pytest.approx([0.05, -0.02, 0.12])
    untested = effects.effects_per_target(full_run(), "ties_REAL_k2_exc")
    assert untested["low"].isna().all() and untested["effect"].tolist() == pytest.approx([0.12] * 3)


def test_first_screen_answers_in_three_sentences() -> None:
    shown = first.first_screen(full_run())
    assert len(shown.answer) == 3 and shown.recommendations is not None
    text = " ".join(shown.answer)
    assert "<b>90.0\u202f%</b>" in text and "<b>+5.0 points</b>" in text and "better for 3 of 3 targets" in text
    assert "+5.0 [−2.0, +12.0]; these are too few targets to tell" in text and "merge for 3 targets" in text
    why = shown.recommendations.rows[0][-1].show
    assert "The merge average · NXN reaches" in why, "experiments have titles"


def test_without_statistics_the_report_says_so() -> None:
    shown = first.first_screen(run_data())
    assert "cannot test the difference" in shown.answer[1] and shown.recommendations is None
    assert not claims.section(run_data()).blocks and not predictor.section(run_data()).blocks


def test_predictor_says_which_policy_wins_and_that_few_targets_describe() -> None:
    text = " ".join(str(getattr(b, "text", "")) for b in predictor.section(full_run()).blocks)
    assert "<b>never merge</b> loses least: regret −1.0 points" in text and "descriptive" in text


def test_target_page_has_its_sources_and_weights() -> None:
    page = target_page(full_run(), "th-TH")
    assert [row[0].sort for row in page.sources.rows] == ["de-DE", "ar-SA"]
    assert page.merges.rows[0][1].show == "de-DE 50\u202f%, ar-SA 50\u202f%"
    assert page.merges.rows[0][0].show == "ties · REAL"  # best on validation data first
    assert page.neighbours == ["ar-SA"] and page.advice is not None


def test_of_very_many_sources_the_best_and_the_chosen_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow_scripts.report.html.target_page.MOST_SOURCES", 0)
    data = full_run()
    for entry in data.results.plan.values():
        entry["sources"] = [source for source in entry["sources"] if source["locale"] == "ar-SA"]
    table = target_page(data, "th-TH").sources
    assert [row[0].sort for row in table.rows] == ["ar-SA"] and "of 2" in table.caption


def test_the_page_is_one_file_and_the_same_every_time() -> None:
    text = render_html(full_run())
    assert text == render_html(full_run())
    assert "&lt;b&gt;Licht" in text and "<b>Licht" not in text
    own = text.replace(get_plotlyjs(), "")
    assert "default-src 'none'" in own[: own.index("<body>")] and not re.search(r"(src|href)=[\"'](https?:)?//", own)


def test_more_than_one_seed_is_not_called_one() -> None:
    assert "One seed: descriptive" not in render_html(full_run())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_enough_contrast(theme: str) -> None:
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0] + (blocks[1] if theme == "dark" else "")))
    for paper in (colours["paper"], colours["soft"]):
        for name in ("ink", "soft-ink", "link", "good", "bad", "warn"):
            assert contrast(colours[name], paper) >= 4.5, f"{name} on {paper}"
    for colour in (*plotting.PALETTE, colours["blue"], colours["orange"], colours["grey"]):
        assert contrast(colour, colours["paper"]) >= 3, f"{colour} on {colours['paper']}"


def contrast(first: str, second: str) -> float:
    """Return WCAG 2's contrast ratio of two colours ``#rrggbb``."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_cells_know_whether_they_are_numbers() -> None:
    assert number_cell("1", 1).is_number and not text_cell("1").is_number and not Cell("x").is_number
