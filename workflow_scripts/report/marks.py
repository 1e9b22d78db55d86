"""Text with light marks: what is written is data, and each renderer shows the marks in its own way."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

Text = Union[str, "Mark", tuple["Text", ...]]  # a plain string is text, never markup


@dataclass(frozen=True)
class Mark:
    """A piece of text that is more than its letters."""

    text: str


class Strong(Mark):
    """What the eye should find first."""


class Emphasis(Mark):
    """A word that is explained here, or stressed."""


class Code(Mark):
    """A name as it stands in files and in the config."""


@dataclass(frozen=True)
class Link(Mark):
    """A link to a file beside the report, or to a place in it (``#…``)."""

    address: str


class Verdict(Mark):
    """A verdict or an advice, shown with a sign and a colour where there are colours."""


@dataclass(frozen=True)
class Sentence(Mark):
    """A sentence of a target's data, with its language."""

    locale: str
    script: str


class Tag(Mark):
    """A label beside a sentence."""


class Remark(Mark):
    """A remark of small print on a line of its own."""


@dataclass(frozen=True)
class Whiskers(Mark):
    """A drawing of a share with its interval on a scale from 0 to 1."""

    value: float
    low: float
    high: float


_MARKS = re.compile(r"\*\*(?P<strong>.+?)\*\*|\*(?P<emphasis>.+?)\*|`(?P<code>.+?)`|\{\}")
_KINDS: dict[str, Callable[[str], Mark]] = {"strong": Strong, "emphasis": Emphasis, "code": Code}


def marked(template: str, *values: Text) -> Text:
    """Return text from a template of ours: ``**strong**``, ``*emphasis*``, `` `code` ``; ``{}`` is filled in.

    Values are taken as they are, so what users write is never read as a mark; within a mark they must be strings.
    """
    parts: list[Text] = []
    rest, place = iter(values), 0
    for found in _MARKS.finditer(template):
        parts.append(template[place : found.start()])
        place = found.end()
        if found.lastgroup is None:
            parts.append(next(rest))
        else:
            inner = found[found.lastgroup]
            parts.append(_KINDS[found.lastgroup](inner.format(*(next(rest) for _ in range(inner.count("{}"))))))
    return (*parts, template[place:])


def with_code(text: str) -> Text:
    """Return a text of a file in which backticks stand around names."""
    return tuple(Code(part) if i % 2 else part for i, part in enumerate(text.split("`")))


def plain(text: Text) -> str:
    """Return a text without its marks."""
    if isinstance(text, tuple):
        return "".join(map(plain, text))
    return text.text if isinstance(text, Mark) else text
