"""The locale table against MASSIVE's list, URIEL (lang2vec) and CLDR (langcodes)."""

import csv
import dataclasses
import pickle
from functools import cache

import langcodes
import pytest
from lang2vec import lang2vec
from langcodes.data_dicts import MACROLANGUAGES

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.languages import locales
from workflow_scripts.languages.locales import Locale, UnknownLocaleError, all_locales, get_locale

MASSIVE = [
    "af-ZA",
    "am-ET",
    "ar-SA",
    "az-AZ",
    "bn-BD",
    "ca-ES",
    "cy-GB",
    "da-DK",
    "de-DE",
    "el-GR",
    "en-US",
    "es-ES",
    "fa-IR",
    "fi-FI",
    "fr-FR",
    "he-IL",
    "hi-IN",
    "hu-HU",
    "hy-AM",
    "id-ID",
    "is-IS",
    "it-IT",
    "ja-JP",
    "jv-ID",
    "ka-GE",
    "km-KH",
    "kn-IN",
    "ko-KR",
    "lv-LV",
    "ml-IN",
    "mn-MN",
    "ms-MY",
    "my-MM",
    "nb-NO",
    "nl-NL",
    "pl-PL",
    "pt-PT",
    "ro-RO",
    "ru-RU",
    "sl-SL",
    "sq-AL",
    "sv-SE",
    "sw-KE",
    "ta-IN",
    "te-IN",
    "th-TH",
    "tl-PH",
    "tr-TR",
    "ur-PK",
    "vi-VN",
    "zh-CN",
    "zh-TW",
]

# Where the table says something else than CLDR on purpose.
NAME_EXCEPTIONS = {
    "bn-BD": ("Bangla", "Bengali"),  # CLDR's newer name; XLM-R, WALS and MASSIVE say Bengali
    "tl-PH": ("Filipino", "Tagalog"),  # CLDR takes `tl` for its standard form; URIEL and MASSIVE have Tagalog
    "zh-HK": ("Chinese", "Cantonese"),  # the tag names a place; the language meant is Cantonese
}
ISO_EXCEPTIONS = {"zh-HK": "yue"}
# `msa` has one observed feature more than `ind`, but is the code of Malay.
URIEL_EXCEPTIONS = {"id-ID": "msa"}
ISOLATES = {"eus"}

# Codes in URIEL for the locale's language besides its ISO 639-3 code and its macrolanguage's.
OTHER_CODES = {
    "ar-SA": ["arb"],
    "az-AZ": ["azj", "azb"],
    "et-EE": ["ekk"],
    "fa-IR": ["pes"],
    "lv-LV": ["lvs"],
    "mn-MN": ["khk", "mvf"],
    "ms-MY": ["zsm", "zlm"],
    "nb-NO": ["nob", "nno"],
    "ne-NP": ["npi"],
    "sq-AL": ["als", "aln"],
    "sw-KE": ["swh", "swc"],
    "tl-PH": ["fil"],
    "zh-CN": ["cmn"],
    "zh-TW": ["cmn"],
}

each_locale = pytest.mark.parametrize("row", all_locales().values(), ids=list(all_locales()))


def iso_code(row: Locale) -> str:
    tag = langcodes.Language.get(row.locale, normalize=False)
    return ISO_EXCEPTIONS.get(row.locale, tag.to_alpha3())


@cache
def macrolanguages() -> dict[str, str]:
    def alpha3(code: str) -> str:
        return langcodes.Language.make(language=code).to_alpha3()

    return {alpha3(code): alpha3(macro) for code, macro in MACROLANGUAGES.items()}


def macrolanguage(code: str) -> str:
    return macrolanguages().get(code, code)


def candidates(row: Locale) -> list[str]:
    own = iso_code(row)
    codes = {own, *OTHER_CODES.get(row.locale, [])}
    if own != "yue":  # Chinese as a whole is described by Mandarin
        codes.add(macrolanguage(own))
    return sorted(codes - {URIEL_EXCEPTIONS.get(row.locale)})


@cache
def features(feature_set: str) -> dict[str, list]:
    rows = all_locales().values()
    codes = {code for row in rows for code in [row.uriel, row.uriel_family, *candidates(row)]}
    found = lang2vec.get_features(sorted(codes), feature_set, header=True)
    assert codes <= set(found)
    return found


def observed(code: str) -> int:
    values = features("syntax_average+phonology_average+inventory_average")[code]
    assert len(values) == 103 + 28 + 158
    return sum(value != "--" for value in values)


def family_path(code: str) -> set[str]:
    found = features("fam")
    return {name for name, value in zip(found["CODE"], found[code], strict=True) if value == 1}


def test_table_is_sorted_unique_and_complete():
    with open(locales._TABLE, encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        rows = list(reader)
    names = [row["locale"] for row in rows]
    assert reader.fieldnames == [field.name for field in dataclasses.fields(Locale)]
    assert names == sorted(set(names)) == list(all_locales())
    assert all(value and value == value.strip() for row in rows for value in row.values())


def test_massive_locales_are_known():
    assert len(MASSIVE) == 52
    assert set(MASSIVE) <= set(all_locales())


@each_locale
def test_uriel_code_has_syntax(row):
    values = features("syntax_knn")[row.uriel]
    assert "--" not in values
    assert any(values)


@each_locale
def test_uriel_code_is_the_best_observed(row):
    best = max(observed(code) for code in candidates(row))
    assert row.uriel in candidates(row)
    assert observed(row.uriel) == best
    assert observed(row.uriel) >= max(observed(row.uriel_family), observed(iso_code(row)))


@each_locale
def test_family_code_has_the_longest_path(row):
    path = family_path(row.uriel_family)
    assert row.uriel_family in candidates(row)
    assert len(path) == max(len(family_path(code)) for code in candidates(row))
    if row.uriel_family in ISOLATES:
        assert not path
        assert row.family == row.language
    else:
        assert f"F_{row.family}" in path


def test_family_is_the_root_of_the_tree():
    paths = {row.locale: family_path(row.uriel_family) for row in all_locales().values()}
    for row in all_locales().values():
        in_family = {name for name, path in paths.items() if f"F_{row.family}" in path}
        for node in paths[row.locale]:
            assert {name for name, path in paths.items() if node in path} <= in_family


def test_genus_lies_in_one_family():
    assert len({row.genus for row in all_locales().values()}) == len(
        {(row.family, row.genus) for row in all_locales().values()}
    )


@each_locale
def test_codes_are_of_the_same_macrolanguage(row):
    expected = macrolanguage(iso_code(row))
    assert {macrolanguage(row.uriel), macrolanguage(row.uriel_family)} == {expected}


@each_locale
def test_language_and_script_agree_with_cldr(row):
    tag = langcodes.Language.get(row.locale)
    assert (tag.language_name(), row.language) == NAME_EXCEPTIONS.get(row.locale, (row.language,) * 2)
    assert tag.maximize().script == row.script


@pytest.mark.parametrize(
    ("gib", "level"),
    [(0.0, "low"), (4.9, "low"), (5.0, "medium"), (19.9, "medium"), (20.0, "high"), (300.8, "high")],
)
def test_resource_level_cuts(gib, level):
    assert dataclasses.replace(get_locale("de-DE"), cc100_gib=gib).resource_level == level


@pytest.mark.parametrize(
    ("name", "gib", "level"),
    [
        ("en-US", 300.8, "high"),
        ("hi-IN", 20.2, "high"),
        ("sv-SE", 77.8, "high"),
        ("zh-TW", 16.6, "medium"),
        ("te-IN", 4.7, "low"),
        ("my-MM", 0.4, "low"),
        ("kw-GB", 0.0, "low"),
    ],
)
def test_resource_level_of_known_locales(name, gib, level):
    assert (get_locale(name).cc100_gib, get_locale(name).resource_level) == (gib, level)


def test_one_language_has_one_cc100_size():
    assert get_locale("pt-BR").cc100_gib == get_locale("pt-PT").cc100_gib


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("de-DEE", "de-DE"),
        ("ed-DE", "de-DE"),
        ("de_DE", "de-DE"),
        ("DE-de", "de-DE"),
        ("de", "de-DE"),
        ("german", "de-DE"),
        ("en-GB", "en-US"),
        ("zh", "zh-TW"),
    ],
)
def test_unknown_locale_suggests_the_near_one(name, near):
    with pytest.raises(UnknownLocaleError) as caught:
        get_locale(name)
    message = str(caught.value)
    assert message.startswith(f"unknown locale {name!r}; did you mean ")
    assert repr(near) in message
    assert "add a row to workflow_scripts/languages/locales.csv" in message


def test_unknown_locale_without_a_near_one():
    with pytest.raises(KeyError) as caught:
        get_locale("qqq-QQQQ")
    assert isinstance(caught.value, XlmergeError)
    assert "did you mean" not in str(caught.value)
    assert "locales.csv" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_locales_are_read_once_and_frozen():
    assert all_locales() is all_locales()
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_locale("de-DE").script = "Cyrl"  # type: ignore[misc]
