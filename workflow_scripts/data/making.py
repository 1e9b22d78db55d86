"""From what a provider has to example tables, in the jobs of a run and in a look at all of it."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workflow_scripts.core import registry
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.validation import Closed
from workflow_scripts.data.examples import COLUMNS
from workflow_scripts.data.look import HELD_OUT, Loaded, Utterance, facts_of, too_few_labels


@dataclass(frozen=True)
class Made:
    """The examples of one locale and split.

    Attributes
    ----------
    table : DataFrame
    dropped : int
        How many more the provider had, whose text is in a held-out split.
    ignored : dict of str to int
        Rows that belong to no split, by the name of theirs.
    """

    table: pd.DataFrame
    dropped: int
    ignored: dict[str, int]


def make_examples(
    settings: Closed, locale: str, split: str, labels: list[str], keep_out: Iterable[pd.DataFrame]
) -> Made:
    """Load one locale and split from its provider and bring it into the contract.

    Parameters
    ----------
    settings : Closed
        The provider's settings; the field ``provider`` names it.
    locale, split : str
    labels : list of str
        The run's ordered labels.
    keep_out : iterable of DataFrame
        Tables whose texts must not occur here (test for validation; test and validation for train).

    Raises
    ------
    XlmergeError
        If nothing is left, or if an id occurs twice.
    """
    provider = registry.load("data provider", settings.provider)  # type: ignore[attr-defined]
    provider.check(settings, [locale])  # data that were fetched have not been looked at before
    loaded: Loaded = provider.load(settings, locale, split, labels)
    table = _contract(loaded.utterances, labels)
    held_out = {text for other in keep_out for text in other["text"]}
    kept = ~table["text"].isin(held_out)
    dropped = int((~kept).sum())
    table = table[kept].reset_index(drop=True)
    if table.empty:
        remedy = "give it sentences of its own, or drop the locale from `locales:`"
        raise XlmergeError(
            f"{locale}: all {dropped} sentences of the {split} split are in {' or '.join(HELD_OUT[split])} as well, "
            f"and are left out for that; {remedy}"
            if dropped
            else f"{locale}: the {split} split is empty; {remedy}"
        )
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        raise XlmergeError(f"{locale}, {split}: the id {twice.iloc[0]!r} occurs twice")
    return Made(table, dropped, loaded.ignored)


def look_at(
    settings: Closed, locales: Iterable[str], labels: list[str], trained: Collection[str], max_length: int
) -> tuple[dict[tuple[str, str], dict[str, Any]], list[str]]:
    """Read all that a provider has for some locales, as the data jobs of a run would.

    Parameters
    ----------
    settings : Closed
    locales : iterable of str
    labels : list of str
    trained : collection of str
        The locales whose models are trained, not brought along.
    max_length : int
        Tokens to which texts are cut.

    Returns
    -------
    counted : dict
        (locale, split) → facts, of what could be read.
    problems : list of str
        What would stop a run.
    """
    counted, problems = {}, []
    for locale in locales:
        tables: list[pd.DataFrame] = []
        for split in HELD_OUT:
            try:
                made = make_examples(settings, locale, split, labels, tables)
            except XlmergeError as error:
                problems.append(str(error))
                continue
            tables.append(made.table)
            facts = facts_of(made.table, made.dropped, made.ignored, labels, max_length)
            counted[locale, split] = facts
            if locale in trained and (problem := too_few_labels(locale, split, facts)):
                problems.append(problem)
    return counted, list(dict.fromkeys(problems))


def _contract(utterances: Sequence[Utterance], labels: list[str]) -> pd.DataFrame:
    position = {name: i for i, name in enumerate(labels)}
    rows = [(u.id, normalise(u.text), position[u.intent], u.cluster) for u in utterances]
    return pd.DataFrame(rows, columns=COLUMNS)


def normalise(text: str) -> str:
    """Return the text in Unicode NFC with white space collapsed."""
    return " ".join(unicodedata.normalize("NFC", text).split())
