"""The locales the workflow knows, read from ``locales.csv``: one row, one locale.

``uriel``
    The code under which URIEL (lang2vec) has the most observed, that is not missing, typological
    features: the language's own code, its macrolanguage, or a member of that macrolanguage
    (``ara`` rather than ``arb``). Croatian and Serbian share ``hbs``; Indonesian keeps ``ind``, one
    feature short of ``msa``, so that it stays apart from Malay.
``uriel_family``
    The code among the same candidates with the longest path in URIEL's family tree. Basque has no path.
``family``, ``genus``
    The root of that path (Basque: the isolate itself), and the genus as named by WALS.
``script``
    The script of the locale's text, an ISO 15924 code.
``region``
    The subregion of the United Nations' geoscheme (M49) that the locale's country lies in; MASSIVE writes ``sl-SL`` for
    Slovenia.
``cc100_gib``
    Text of the language in CC-100, on which XLM-R was pretrained, in GiB: table 6 of Conneau et al.
    (2020, arXiv:1911.02116), 0 for a language not listed there. Romanized rows are left out. Burmese is
    the smaller of its two rows, because the larger one is in the Zawgyi encoding. The table swaps the
    columns of Swedish (77.8 M tokens, 12.1 GiB); figure 1 places Swedish between Ukrainian and Thai,
    so it is 77.8 GiB here.
"""

import csv
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from workflow_scripts.core.errors import XlmergeError

HIGH_RESOURCE_GIB = 20.0
MEDIUM_RESOURCE_GIB = 5.0

_TABLE = Path(__file__).with_name("locales.csv")
_MAX_SUGGESTIONS = 3


class UnknownLocaleError(XlmergeError, KeyError):
    """A locale without a row in ``locales.csv``."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message quoted


@dataclass(frozen=True)
class Locale:
    """One locale; the module's documentation says what each field means."""

    locale: str
    language: str
    uriel: str
    uriel_family: str
    family: str
    genus: str
    script: str
    region: str
    cc100_gib: float

    @property
    def resource_level(self) -> Literal["high", "medium", "low"]:
        """How much text of the language XLM-R saw in pretraining, by its size in CC-100.

        ``high`` from `HIGH_RESOURCE_GIB`, ``medium`` from `MEDIUM_RESOURCE_GIB`, ``low`` below that.
        It says nothing about how much labelled data there is.
        """
        if self.cc100_gib >= HIGH_RESOURCE_GIB:
            return "high"
        return "medium" if self.cc100_gib >= MEDIUM_RESOURCE_GIB else "low"


@cache
def all_locales() -> dict[str, Locale]:
    """Return every known locale by name, in alphabetical order; read once, do not modify."""
    with open(_TABLE, encoding="utf-8", newline="") as handle:
        rows = [Locale(cc100_gib=float(row.pop("cc100_gib")), **row) for row in csv.DictReader(handle)]
    return {row.locale: row for row in rows}


def get_locale(name: str) -> Locale:
    """Return the locale called `name`, such as ``"de-DE"``.

    Raises
    ------
    UnknownLocaleError
        If the table has no such locale; the message suggests near names and says how to add one.
    """
    try:
        return all_locales()[name]
    except KeyError:
        near = " or ".join(repr(n) for n in _suggestions(name))
        hint = f"; did you mean {near}?" if near else ""
        remedy = "to use another locale, add a row to workflow_scripts/languages/locales.csv"
        raise UnknownLocaleError(f"unknown locale {name!r}{hint} ({remedy})") from None


def described_by_hand(names: Iterable[str]) -> str:
    """Return what to do about locales that the table does not have: near names, and a block for the config."""
    near = {name: _suggestions(name) for name in names}
    meant = "; ".join(f"{name}: did you mean {' or '.join(others)}?" for name, others in near.items() if others)
    rows = "\n".join(f'  {name}: {{language: "?", uriel: "?", family: "?", script: "?"}}' for name in near)
    return (
        f"{', '.join(near)}{f' ({meant})' if meant else ''}. Describe what is no misspelling in the config; `uriel` is "
        f"the ISO 639-3 code, only it and `language` are needed:\nlanguages:\n{rows}"
    )


def _suggestions(name: str) -> list[str]:
    """Return the locales of the language that `name` names or starts with, else the nearest names."""
    word = name.strip().replace("_", "-").casefold()
    by_word = {n.casefold(): n for n in all_locales()}
    if word in by_word:
        return [by_word[word]]
    language = word.split("-")[0]
    same = [n for n, row in all_locales().items() if language in (n.split("-")[0], row.language.casefold())]
    near = [by_word[n] for n in difflib.get_close_matches(word, by_word, n=_MAX_SUGGESTIONS)]
    return (same or near)[:_MAX_SUGGESTIONS]
