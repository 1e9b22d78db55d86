"""The report's sections and its HTML, on a small run made by hand."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from tests.unit.report_run import LABELS, LOCALES, TEXTS, full_run, run_data
from tests.unit.synthetic_runs import Synthetic, settings
from workflow_scripts.report import plots
from workflow_scripts.report.blocks import Items, Note, Prose, Section, Squares, Table, table
from workflow_scripts.report.contents import build_report
from workflow_scripts.report.html import TEMPLATES, breakable, chip, foreign, inline, render_html
from workflow_scripts.report.marks import marked, plain
from workflow_scripts.report.run_data import RunData
from workflow_scripts.report.sections import (
    effects,
    in_short,
    language_groups,
    source_counts,
    transfer,
    when_to_merge,
)
from workflow_scripts.report.sections.changed_sentences import changed_sentences
from workflow_scripts.report.sections.comparisons import comparisons
from workflow_scripts.report.sections.confusion import confusion, confusion_map, intent_table
from workflow_scripts.report.sections.target_page import target_page
from workflow_scripts.report.sections.the_data import data_section
from workflow_scripts.report.terminal import render_terminal
from workflow_scripts.statistics.comparison import compare_run


def within(blocks: object, kind: type) -> list:
    """Return the blocks of a kind, also those within others, in order."""
    found = []
    for block in blocks:
        found += [block] if isinstance(block, kind) else []
        found += within(getattr(block, "blocks", ()), kind)
    return found


def shown(table: Table) -> list[list[str]]:
    """Return a table's cells as plain text."""
    return [[plain(cell.show) for cell in row] for row in table.rows]


def test_a_table_is_made_of_mappings() -> None:
    rows = [{"name": "a", "value": 1.0, "nothing": ""}, {"name": "b", "value": None, "nothing": ""}]
    made = table("A table", rows, {"name": "name", "size": ("value", str), "empty": "nothing"})
    assert made.heads == ["name", "size"] and made.numeric == [False, True]
    assert [row[0] for row in shown(made.ordered("size"))] == ["b", "a"], "what is not known sorts last"
    assert [row[0] for row in shown(made.ordered("size", descending=True))] == ["a", "b"]


def test_text_is_escaped_and_names_may_break() -> None:
    assert breakable("a_b") == "a_<wbr>b" and breakable("<i>_") == "&lt;i&gt;_<wbr>"
    assert inline(marked("**{}** is {} of `x`", "<b>", "*not* a `mark`")) == (
        "<b>&lt;b&gt;</b> is *not* a `mark` of <code>x</code>"
    )
    assert "&lt;b&gt;" in foreign(TEXTS["de-DE"], "de-DE", "Latn")
    assert 'lang="ar-SA" dir="rtl"' in foreign(TEXTS["ar-SA"], "ar-SA", "Arab")


def test_a_verdict_is_never_colour_alone() -> None:
    assert [re.sub("<.*?>", "", chip(word))[0] for word in ("better", "worse", "cannot tell")] == [
        "▲",
        "▼",
        "◆",
    ]


def test_json_cannot_leave_its_script() -> None:
    text = plots.as_json({"a": "</script><b>", "n": [float("nan"), np.float64(1.5)]})
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
    cells = shown(intent_table(run_data(), "de-DE"))
    rows = {row[0]: row[1:] for row in cells}
    assert [row[0] for row in cells] == ["off", "dim", "on"]  # by change
    assert rows["on"] == ["2", "0\u202f%", "100\u202f%", "+100", "100\u202f%", "–"]
    assert rows["off"] == ["2", "100\u202f%", "75\u202f%", "−25", "100\u202f%", "on (25\u202f%)"]


def test_confusion_map_has_a_titled_square_per_pair() -> None:
    drawn = confusion_map(run_data(), "de-DE")
    assert isinstance(drawn, Squares) and drawn.names == LABELS and len(drawn.cells) == 4
    assert "off is taken for on: 25\u202f%" in drawn.alt and drawn.alt.split(". ", 1)[1] in drawn.caption
    assert 'class="w2" d="M0 1h1v1h-1z"><title>off → on: 25\u202f%' in render_html(build_report(run_data()))


def test_examples_are_what_changed_one_per_cluster() -> None:
    said, lists = changed_sentences(run_data(), "th-TH", "de-DE")
    assert "Of 6 test sentences the merge fixed 2 and broke 1" in said.text
    fixed, broken = (block.items for block in within([lists], Items))
    assert [plain(item) for item in fixed] == ["เปิดไฟ 0 onsingle source: off · merge: on"]  # two items of one cluster
    assert [plain(item[2]) for item in broken] == ["off"] and "merge: on" in plain(broken[0])
    assert 'lang="th-TH"' in inline(fixed[0])


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
    table = source_counts.accuracy_by_size(run_data()).set_index(["series", "k"])["accuracy"]
    assert table["average · NXN"].to_dict() == {1: 0.6, 2: pytest.approx(0.65)}
    assert table["average_all"].to_dict() == {2: pytest.approx(0.62)}


def test_forest_has_the_intervals_of_the_statistics() -> None:
    frame = effects.effects_per_target(full_run(), None)
    assert frame.loc["de-DE", ["effect", "low", "high"]].tolist() == pytest.approx([0.05, -0.02, 0.12])
    untested = effects.effects_per_target(full_run(), "ties_REAL_k2_exc")
    assert untested["low"].isna().all() and untested["effect"].tolist() == pytest.approx([0.12] * 3)


def test_the_opening_answers_in_three_sentences() -> None:
    blocks = in_short.opening(full_run()).blocks
    answer = within(blocks, Items)[0].items
    assert len(answer) == 3
    text = " ".join(map(plain, answer))
    assert "reaches 90.0\u202f%" in text and "+5.0 points" in text and "better for 3 of 3 targets" in text
    assert "+5.0 [−2.0, +12.0]; these are too few targets to tell" in text and "merge for 3 targets" in text
    (advice,) = within(blocks, Table)
    row = dict(zip(advice.heads, shown(advice)[0], strict=True))
    assert "The merge average · NXN reaches" in row["why"], "experiments have titles"
    assert row["− alternative [95 %]"] == "+5.0 [−2.0, +12.0]: ties · REAL"


def test_every_gain_names_its_opponent() -> None:
    data = full_run()
    primary = data.statistics.iloc[[0]]
    free = primary.assign(
        tier="none", experiment="average_NXN_k2_exc", baseline="english", verdict="cannot tell", improved=1
    )
    tuned = primary.assign(baseline="few_shot", effect=0.01, low=-0.01, high=0.03)
    plain_single = primary.assign(family="exploratory")
    data = full_run(statistics=pd.concat([free, tuned, plain_single, data.statistics.iloc[1:]]))
    _, without, chosen, *_ = map(plain, in_short.answer(data))
    assert without.startswith(
        "Without any data of the target, the merge average · NXN is +5.0 [−2.0, +12.0] points against"
    )
    assert "against the pivot's model (en-US), better for 1" in without
    assert (
        "against that best single model" in chosen
        and "Against best other model, fine-tuned" in chosen
        and "+1.0 [−1.0, +3.0]" in chosen
    )
    blocks = comparisons(data)
    captions = [plain(table.caption) for table in within(blocks, Table)]
    assert any("against other single models, and against training" in caption for caption in captions)
    said = [plain(item) for items in within(blocks, Items) for item in items.items]
    assert any(item.startswith("en-US is left out of the comparisons with english") for item in said)


def test_without_statistics_the_report_says_so() -> None:
    blocks = in_short.opening(run_data()).blocks
    assert "cannot test the difference" in plain(within(blocks, Items)[0].items[1]) and not within(blocks, Table)
    left_out = {section.id for section in build_report(full_run()).sections}
    left_out -= {section.id for section in build_report(run_data()).sections}
    assert left_out == {"claims", "predictor"}


def included_target_wins() -> RunData:
    """A run whose merges with the target's own model win everywhere, and whose others lose on one target."""
    data = full_run()
    systems = data.results.systems.copy()
    merged = (systems["system"] == "merge") & (systems["target"] == "th-TH")
    systems.loc[merged & (systems["experiment"] == "average_NXN_k2_exc"), "accuracy"] = 0.5
    primary = data.statistics.iloc[[0]].assign(improved=2, hurt=1, improved_chance_low=1, improved_chance_high=2)
    with_training = primary.assign(family="exploratory", tier="labelled training", improved=3, hurt=0,
                                   experiment="chosen on validation, any supervision")  # fmt: skip
    statistics = pd.concat([with_training, primary, data.statistics.iloc[1:]])
    return full_run(results=replace(data.results, systems=systems), statistics=statistics)


def test_what_is_chosen_on_validation_data_is_the_same_everywhere() -> None:
    data = included_target_wins()
    assert "better for 2 of 3 targets, worse for 1" in plain(in_short.answer(data)[1])
    blocks = effects.section(data).blocks
    said = [plain(block.text) for block in within(blocks, Prose)]
    assert any("better than the best single model for 2 of 3 targets (by chance 1–2)" in text for text in said)
    assert any("worse for th-TH (−10.0)" in text for text in said)
    assert not any("3 of 3" in text for text in said)
    per_target = shown(blocks[0].table)
    assert [row[-1].split()[0] for row in per_target] == ["+5.0", "+5.0", "−10.0"]
    assert "worse for 1." in render_terminal(in_short.summary(data))


def test_merges_that_could_not_be_made_are_named_with_the_reason() -> None:
    data = run_data()
    assert "could not be made" not in render_terminal(in_short.summary(data))
    records = [{"target": t, "seed": 0, "failed": {"slerp_k3": "it takes 2 sources."}} for t in ("de-DE", "fr-FR")]
    missing = replace(data, results=replace(data.results, failures=records))
    told = "Merges are missing that could not be made. slerp_k3 for de-DE, slerp_k3 for fr-FR: it takes 2 sources."
    assert told in " ".join(render_terminal(in_short.summary(missing)).split())
    assert told in [plain(block.text) for block in within(in_short.opening(missing).blocks, Note)]


def test_models_that_had_not_finished_learning_are_named_and_marked_wherever_they_count() -> None:
    data = run_data()
    assert "converged" not in render_terminal(in_short.summary(data))
    short = replace(data, not_converged={("de-DE", 0): "its validation loss was still falling"})
    told = "Not converged: de-DE, seed 0. Of the first, its validation loss was still falling."
    assert told in " ".join(render_terminal(in_short.summary(short)).split())
    assert told in " ".join(plain(block.text) for block in within(in_short.opening(short).blocks, Note))
    assert "(1 not converged)" in render_terminal([in_short.mean_accuracies(short)])
    cells = {row[0]: row[3] for row in shown(effects.section(short).blocks[0].table)}
    assert [target for target, cell in cells.items() if "not converged" in cell] == ["de-DE"]


def test_the_report_says_what_the_comparisons_say(tmp_path: Path) -> None:
    gains = {"near": 0.1, "far": -0.1}
    experiments = {
        "near": settings(similarity="URIEL"),
        "far": settings(similarity="RANDOM"),
        "own": settings(include=True),
    }
    run = Synthetic(tmp_path, experiments, lambda key, *_: 0.9 if key == "self" else 0.6 + gains.get(key, 0.05))
    compared, facts = compare_run(run.results(), run.paths)
    data = run_data(results=run.results(), statistics=compared, comparison_facts=facts)
    primary, beside, exploratory, every = within(comparisons(data), Table)
    rows = {row[0]: dict(zip(primary.heads, row, strict=True)) for row in shown(primary)}
    assert [row["verdict"] for row in rows.values()] == list(compared.loc[compared["family"] == "primary", "verdict"])
    assert rows["merge − english"]["better / worse (chance)"].startswith("11 / 0 (")
    against = {row[0] for row in shown(beside)}
    assert {
        "merge − top1",
        "merge − english",
        "IncTar − best_zero_shot_val",
    } <= against and "merge − self" not in against
    counted = {row[0]: row[1:5] for row in shown(exploratory)}
    assert counted["merge − self"] == ["3", "0", "3", "0"], (
        "merges, significantly better, worse, no relevant difference"
    )
    across = compared[(compared["scope"] == "across targets") & (compared["family"] == "exploratory")]
    assert len(every.rows) == len(across)


def test_each_grouping_of_languages_shows_its_own_groups() -> None:
    section = language_groups.section(run_data())
    groups = {made.heads[0]: {row[0] for row in shown(made)} for made in within(section.blocks, Table)}
    assert groups["family"] == {"Indo-European", "Afro-Asiatic", "Tai-Kadai"}
    assert groups["genus"] == {"Germanic", "Semitic", "Kam-Tai"} and groups["script"] == {"Latn", "Arab", "Thai"}


def test_predictor_says_which_policy_wins_and_that_few_targets_describe() -> None:
    text = " ".join(plain(block.text) for block in within(when_to_merge.section(full_run()).blocks, Prose))
    assert "never merge loses least: regret −1.0 points" in text
    assert "Fewer than 20 targets: this describes the run and proves nothing" in text


def test_target_page_has_its_sources_and_weights() -> None:
    page = target_page(full_run(), "th-TH")
    parts = {section.id.rsplit("-", 1)[1]: section for section in within(page.section.blocks, Section)}
    (sources,), (merges,) = (within(parts[name].blocks, Table) for name in ("sources", "merges"))
    assert [row[0] for row in shown(sources)] == ["de-DE", "ar-SA"]
    assert shown(merges)[0][1] == "de-DE 50\u202f%, ar-SA 50\u202f%"
    assert shown(merges)[0][0] == "ties · REAL"  # best on validation data first
    assert page.neighbours == ["ar-SA"] and "Advice" in within(page.section.blocks, Table)[0].caption


def test_of_very_many_sources_the_best_and_the_chosen_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow_scripts.report.sections.target_page.MOST_SOURCES", 0)
    data = full_run()
    for entry in data.results.plan.values():
        entry["sources"] = [source for source in entry["sources"] if source["locale"] == "ar-SA"]
    sources = within(target_page(data, "th-TH").section.blocks, Table)[2]
    assert [row[0] for row in shown(sources)] == ["ar-SA"] and "of 2" in sources.caption


def test_the_page_is_one_file_and_the_same_every_time() -> None:
    text = render_html(build_report(full_run()))
    assert text == render_html(build_report(full_run()))
    assert "&lt;b&gt;Licht" in text and "<b>Licht" not in text
    own = text.replace(get_plotlyjs(), "")
    assert "default-src 'none'" in own[: own.index("<body>")] and not re.search(r"(src|href)=[\"'](https?:)?//", own)


def test_more_than_one_seed_is_not_called_one() -> None:
    assert "One seed: descriptive" not in render_html(build_report(full_run()))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_enough_contrast(theme: str) -> None:
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0] + (blocks[1] if theme == "dark" else "")))
    for paper in (colours["paper"], colours["soft"]):
        for name in ("ink", "soft-ink", "link", "good", "bad", "warn"):
            assert contrast(colours[name], paper) >= 4.5, f"{name} on {paper}"
    for colour in (*plots.PALETTE, colours["blue"], colours["orange"], colours["grey"]):
        assert contrast(colour, colours["paper"]) >= 3, f"{colour} on {colours['paper']}"


def contrast(first: str, second: str) -> float:
    """Return WCAG 2's contrast ratio of two colours ``#rrggbb``."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


# --- the data


def test_what_was_left_out_of_the_data_is_said_where_it_is_more_than_one_sentence_in_a_hundred():
    section = data_section(full_run())
    assert [block for block in section.blocks if isinstance(block, Items)] == [
        Items([
            "rows left out, because of the name of their split: de-DE 7 'held_out'",
            "sentences left out, because a held-out split has them too: de-DE 3 of 9 (training)",
        ])
    ]  # fmt: skip
    shown = [[cell.show for cell in row] for row in section.blocks[-1].rows]
    assert shown[0] == ["German (de-DE)", "6", "6", "6", "3", "7", "3"] and shown[1][4:6] == ["0", "0"]
    healthy = {place: {**facts, "dropped": 0, "ignored": {}} for place, facts in full_run().counted.items()}
    assert not any(isinstance(block, Items) for block in data_section(full_run(counted=healthy)).blocks)
