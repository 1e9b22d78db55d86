"""A look at the data before training: what providers give, counted, and what a person should know of the counts.

The data jobs count (`facts_of`); the run's stage line, the report and `xlmerge check` say what follows from the counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from workflow_scripts.core.words import first_of, number, plural

if TYPE_CHECKING:
    import pandas as pd

SPLITS = {"train": "training", "validation": "validation", "test": "test"}  # a split → the word for it
HELD_OUT = {"test": [], "validation": ["test"], "train": ["test", "validation"]}  # a split → those it must not repeat
WORTH_SAYING = 0.01  # share of a split's sentences that repeat those of a held-out one
WIDE = 0x2E80  # from here on scripts have a token per character or two
CHARACTERS_PER_TOKEN = 6  # a careful guess for all others
MOST_NAMED = 5

Facts = Mapping[str, Any]
Counted = Mapping[tuple[str, str], Facts]  # (locale, split) → its facts


class Utterance(NamedTuple):
    """A labelled sentence, as a provider gives it."""

    id: str
    text: str
    intent: str
    cluster: str


@dataclass(frozen=True)
class Loaded:
    """What a provider has of one locale and split.

    Attributes
    ----------
    utterances : list of Utterance
    ignored : dict of str to int
        Rows that were left out by the name of their split, which is none of the three.
    """

    utterances: list[Utterance]
    ignored: dict[str, int] = field(default_factory=dict)


def facts_of(
    table: "pd.DataFrame", dropped: int, ignored: Mapping[str, int], labels: Sequence[str], max_length: int
) -> dict[str, Any]:
    """Return what is counted of one locale and split.

    Parameters
    ----------
    table : DataFrame
        Examples.
    dropped : int
        How many more there were, whose text is in a held-out split.
    ignored : mapping
        See `Loaded`.
    labels : sequence of str
    max_length : int
        Tokens to which texts are cut.

    Returns
    -------
    dict
        ``n``, ``dropped``, ``ignored``, ``clusters``, ``per_label``, ``missing`` (labels), ``max_length``, ``long``:
        texts that are cut, by a careful guess, since nothing is tokenised here.
    """
    counts = table["label"].value_counts()
    per_label = {name: int(counts.get(i, 0)) for i, name in enumerate(labels)}
    return {
        "n": len(table),
        "dropped": dropped,
        "ignored": dict(ignored),
        "clusters": int(table["cluster"].nunique()),
        "per_label": per_label,
        "missing": [name for name, count in per_label.items() if not count],
        "long": sum(_tokens(text) > max_length for text in table["text"]),
        "max_length": max_length,
    }


def _tokens(text: str) -> int:
    wide = sum(ord(c) >= WIDE for c in text)
    return max(len(text.split()), (len(text) - wide) // CHARACTERS_PER_TOKEN + wide // 2)


def too_few_labels(locale: str, split: str, facts: Facts) -> str | None:
    """Return why a locale's model cannot be trained or judged if all sentences have one label, else None."""
    present = [name for name, count in facts["per_label"].items() if count]
    if split == "test" or len(present) > 1:
        return None
    purpose = "there is nothing to learn" if split == "train" else "a training cannot be judged by them"
    return (
        f"{locale}: all {number(facts['n'])} {SPLITS[split]} sentences have the label {present[0]!r}, so {purpose}. "
        "Give sentences of other labels, or drop the locale from `locales:`"
    )


def findings(counted: Counted, most: int | None = None) -> list[str]:
    """Return what a person should know of the data, one line per kind of finding.

    Parameters
    ----------
    counted : mapping
    most : int, optional
        So many places are named per line, and the number of the others.
    """
    lines = {
        "rows left out, because of the name of their split": _ignored(counted),
        "sentences left out, because a held-out split has them too": _dropped(counted),
        **{f"labels without a {SPLITS[s]} sentence": _missing(counted, s) for s in SPLITS},
        "one label only": [
            f"{locale} ({SPLITS[split]})"
            for (locale, split), facts in counted.items()
            if len(facts["per_label"]) - len(facts["missing"]) == 1
        ],
        "texts that are cut, being longer than about {max_length} tokens": [
            f"{locale} {number(facts['long'])} ({SPLITS[split]})"
            for (locale, split), facts in counted.items()
            if facts["long"]
        ],
    }
    cut = next(iter(counted.values()))["max_length"] if counted else 0
    shown = {kind: first_of(places, most or len(places)) for kind, places in lines.items() if places}
    return [f"{kind.format(max_length=cut)}: {places}" for kind, places in shown.items()]


def _ignored(counted: Counted) -> list[str]:
    """Return the rows without a split; all splits of a file count the same ones."""
    per_locale: dict[str, dict[str, int]] = {}
    for (locale, _), facts in counted.items():
        per_locale.setdefault(locale, {}).update(facts["ignored"])
    return [
        f"{locale} {', '.join(f'{number(count)} {value!r}' for value, count in ignored.items())}"
        for locale, ignored in per_locale.items()
        if ignored
    ]


def _dropped(counted: Counted) -> list[str]:
    return [
        f"{locale} {number(facts['dropped'])} of {number(facts['n'] + facts['dropped'])} ({SPLITS[split]})"
        for (locale, split), facts in counted.items()
        if facts["dropped"] > WORTH_SAYING * (facts["n"] + facts["dropped"])
    ]


def _missing(counted: Counted, split: str) -> list[str]:
    return [
        f"{locale} ({', '.join(_few(facts['missing']))})"
        for (locale, of), facts in counted.items()
        if of == split and facts["missing"]
    ]


def _few(names: Sequence[str]) -> list[str]:
    rest = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return [*names[:MOST_NAMED], *rest]


def stage_lines(counted: Counted) -> list[str]:
    """Return what a run says when its data are made: how much there is, and what a person should know of it."""
    locales = {locale for locale, _ in counted}
    sizes = {split: [facts["n"] for (_, of), facts in counted.items() if of == split] for split in SPLITS}
    amounts = ", ".join(f"{SPLITS[split]} {_range(counts)}" for split, counts in sizes.items() if counts)
    head = f"data: {plural(len(locales), 'locale')}; sentences of each: {amounts}"
    return [head, *(f"  {line}" for line in findings(counted, MOST_NAMED))]


def _range(counts: Iterable[int]) -> str:
    low, high = min(counts := list(counts)), max(counts)
    return number(low) if low == high else f"{number(low)}–{number(high)}"
