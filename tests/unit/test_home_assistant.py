"""Sentences from templates: walks, splits by template, coverage."""

import json
import random
from functools import cache
from pathlib import Path

import home_assistant_intents
import pytest
from hassil.intents import Intents

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.making import make_examples
from workflow_scripts.data.providers.home_assistant import home_assistant
from workflow_scripts.data.providers.home_assistant.home_assistant import LABELS, SPLITS, VALUES, Settings, check, load
from workflow_scripts.data.providers.home_assistant.template_walk import Walker

TEMPLATES = Path(home_assistant_intents.__file__).parent / "data"
HANDFUL = ["th-TH", "zh-CN", "el-GR"]


# --- walks over small templates

SMALL = {
    "language": "en",
    "lists": {
        "level": {"range": {"from": 10, "to": 30, "step": 10}},
        "colour": {"values": ["red", "(light|dark) blue"]},
        "name": {"values": ["never used"]},
        "empty": {"wildcard": True},
    },
    "expansion_rules": {"go": "go [there]", "deep": "please <go>"},
}


def walks(template, tries=200, seed=0, block=None):
    """Return all sentences that many walks end in."""
    content = {**SMALL, "intents": {"X": {"data": [{"sentences": [template], **(block or {})}]}}}
    intents = Intents.from_dict(content)
    (data,) = intents.intents["X"].data
    walker = Walker(intents, data, {"name": ["lamp", "fan"], "area": ["hall"]}, random.Random(seed), "xx-XX")
    (sentence,) = data.sentences
    return [walker.walk(sentence.expression) for _ in range(tries)]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("turn (on|off) [the] light", {f"turn {a} {b}light" for a in ("on", "off") for b in ("", "the ")}),
        ("turn  on   now", {"turn on now"}),
        ("(now;please) go", {"now please go", "please now go"}),
        ("<deep> fast", {"please go fast", "please go there fast"}),
        ("set {level}%", {"set 10%", "set 20%", "set 30%"}),
        ("make it {colour}", {"make it red", "make it light blue", "make it dark blue"}),
        ("switch {name} on", {"switch lamp on", "switch fan on"}),  # the locale's own values, not the list's
        ("{name} in {area}", {"lamp in hall", "fan in hall"}),
        ("in {1..3:minutes} min", {"in 1 min", "in 2 min", "in 3 min"}),
        ("[[very] loud] music", {"music", "loud music", "very loud music"}),
    ],
)
def test_walks_end_in_every_sentence_of_a_template_and_no_other(template, expected):
    assert set(walks(template)) == expected


def test_a_blocks_own_lists_and_rules_come_first():
    block = {"lists": {"colour": {"values": ["green"]}}, "expansion_rules": {"go": "run"}}
    assert set(walks("<go> {colour}", block=block)) == {"run green"}


def test_the_seed_decides():
    template = "(a|b) (c|d) (e|f) (g|h)"
    assert walks(template, 20) == walks(template, 20) != walks(template, 20, seed=1)


@pytest.mark.parametrize(
    ("template", "message"),
    [("go <nowhere>", "xx-XX.*rule <nowhere>"), ("{nothing}", r"xx-XX.*\{nothing\}"), ("{empty}", r"xx-XX.*\{empty\}")],
)
def test_a_reference_to_nothing_names_locale_and_reference(template, message):
    with pytest.raises(XlmergeError, match=message):
        walks(template)


# --- splits


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, (0, 0, 0)), (1, (0, 0, 1)), (2, (1, 0, 1)), (3, (1, 1, 1)), (12, (3, 2, 7)), (40, (10, 7, 23))],
)
def test_a_quarter_to_test_and_a_sixth_to_validation(count, sizes):
    templates = [f"t{i}" for i in range(count)]
    dealt = home_assistant._split_templates(templates, 0)
    assert set(dealt) == set(templates)
    assert tuple(list(dealt.values()).count(s) for s in SPLITS) == sizes
    if count == 40:
        assert dealt != home_assistant._split_templates(templates, 1)


def test_sentences_are_dealt_from_the_templates_in_turn_up_to_the_cap():
    templates = {"b": ["B1", "B2"], "a": ["A1", "dup", "A3"], "c": ["Dup", "secret"]}
    dealt = list(home_assistant._deal(templates, 5, {"secret"}))
    # round 0: a, b, c; round 1: a's "dup" was c's "Dup", b; round 2: a; "secret" is ambiguous
    assert dealt == [("a", 0, "A1"), ("b", 0, "B1"), ("c", 0, "Dup"), ("b", 1, "B2"), ("a", 2, "A3")]
    assert list(home_assistant._deal(templates, 2, set())) == dealt[:2]


@cache
def tables(locale):
    """All splits of a locale as the workflow makes them: no text in two splits, test first."""
    found = {}
    for split in SPLITS:
        found[split] = make_examples(Settings(), locale, split, list(LABELS), list(found.values())).table
    return found


@pytest.mark.parametrize("locale", HANDFUL)
def test_every_intent_is_in_every_split(locale):
    for split, table in tables(locale).items():
        assert set(table["label"]) == set(range(len(LABELS))), split
        cap = getattr(Settings(), f"{split}_per_intent")
        assert table["label"].value_counts().max() <= cap


@pytest.mark.parametrize("locale", HANDFUL)
def test_no_template_and_no_sentence_is_in_two_splits(locale):
    for column in ("cluster", "text"):
        seen = [set(t[column]) for t in tables(locale).values()]
        assert sum(map(len, seen)) == len(set.union(*seen)), column
    for table in tables(locale).values():
        assert not table["text"].str.casefold().duplicated().any()
        assert table["cluster"].nunique() > len(LABELS)


@pytest.mark.parametrize("locale", HANDFUL)
def test_no_sentence_has_two_intents(locale):
    settings = Settings()
    texts = {}
    for split in SPLITS:
        for row in load(settings, locale, split, list(LABELS)).utterances:
            assert texts.setdefault(row.text.casefold(), row.intent) == row.intent


def test_the_seed_decides_about_sentences_and_splits():
    few = ["HassTurnOn", "HassMediaNext"]
    one, again, other = (load(Settings(seed=s), "th-TH", "test", few).utterances for s in (0, 0, 1))
    assert one == again
    assert {r.text for r in one} != {r.text for r in other}
    assert {r.cluster for r in one} != {r.cluster for r in other}


def test_caps_are_kept():
    loaded = load(Settings(test_per_intent=3), "th-TH", "test", ["HassTurnOn", "HassMediaNext"])
    rows = [row.intent for row in loaded.utterances]
    assert (rows.count("HassTurnOn"), rows.count("HassMediaNext")) == (3, 3)


# --- coverage


@cache
def templates_per_label():
    """Per locale: the number of different templates of each default intent."""
    found = {}
    for path in sorted(VALUES.glob("*.json")):
        language = json.loads(path.read_text(encoding="utf-8"))["language"]
        intents = json.loads((TEMPLATES / f"{language}.json").read_text(encoding="utf-8"))["intents"]
        blocks = {label: intents.get(label, {"data": []})["data"] for label in LABELS}
        found[path.stem] = {label: len({s for b in data for s in b["sentences"]}) for label, data in blocks.items()}
    return found


def test_thirty_locales_cover_the_default_labels():
    # two templates of an intent: one in training, one in test; three in any intent: validation is not empty either
    covered = [
        locale for locale, counts in templates_per_label().items() if min(counts.values()) >= 2 < max(counts.values())
    ]
    assert len(covered) >= 30
    assert set(HANDFUL) <= set(covered)


@pytest.mark.parametrize("path", sorted(VALUES.glob("*.json")), ids=lambda p: p.stem)
def test_value_lists_are_whole(path):
    values = json.loads(path.read_text(encoding="utf-8"))
    assert (TEMPLATES / f"{values['language']}.json").is_file()
    for name, entries in values.items():
        if name != "language":
            assert entries and all(isinstance(e, str) and e.strip() for e in entries), name
            assert len(set(entries)) == len(entries), f"{name}: an entry twice"


def test_an_unknown_locale_names_the_nearest():
    check(Settings(), ["de-DE", "th-TH"])
    with pytest.raises(XlmergeError, match=r"no locale 'de-DR'; did you mean 'de-DE'\? \(it has: af-ZA, "):
        check(Settings(), ["th-TH", "de-DR"])
