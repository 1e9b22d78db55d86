"""A random walk over one of hassil's parsed sentence templates ends in one sentence."""

import random
from typing import Any

from hassil.expression import (
    Alternative,
    Expression,
    ListReference,
    Permutation,
    RuleReference,
    Sequence,
    TextChunk,
)
from hassil.intents import IntentData, Intents, RangeSlotList, TextSlotList

from workflow_scripts.core.errors import XlmergeError

OWN_VALUES = {
    "area": "area", "name": "name", "floor": "floor", "shopping_list_item": "item", "todo_list_item": "item",
    "timer_name": "timer_name", "timer_command": "timer_command", "message": "message", "zone": "zone",
    "search_query": "search_query",
}  # fmt: skip


NAMED_OTHERWISE = {"person", "scene", "script", "todo"}


def domains(block: IntentData) -> set[str]:
    """Return the kinds of entity that a block of templates speaks of."""
    required = block.requires_context.get("domain", [])
    return {required} if isinstance(required, str) else set(required)


class Walker:
    """Walks over the templates of one block of an intent.

    Parameters
    ----------
    intents : Intents
        The language's templates, with its global lists and rules.
    block : IntentData
        The block that the templates are from; its lists and rules come first.
    values : dict
        The locale's own value lists (see `OWN_VALUES`).
    rng : random.Random
        The only source of randomness.
    locale : str
        For messages.
    """

    def __init__(
        self, intents: Intents, block: IntentData, values: dict[str, Any], rng: random.Random, locale: str
    ) -> None:
        self.lists = {**intents.slot_lists, **block.slot_lists}
        self.rules = {**intents.expansion_rules, **block.expansion_rules}
        self.values, self.rng, self.locale = values, rng, locale
        places = {"name": "zone"} if "weather" in domains(block) else {}  # a weather entity is called after a place
        self.own_lists = {**OWN_VALUES, **places}

    def walk(self, expression: Expression) -> str:
        """Return one sentence, white space collapsed."""
        return " ".join(self._text(expression).split())

    def _text(self, node: Expression) -> str:
        match node:
            case TextChunk():
                return node.original_text
            case Alternative():
                return self._text(self.rng.choice(node.items)) if node.items else ""
            case Permutation():
                return "".join(self._text(i) for i in self.rng.sample(node.items, len(node.items)))
            case Sequence():
                return "".join(self._text(i) for i in node.items)
            case RuleReference():
                return self._rule(node.rule_name)
            case ListReference():
                return self._list(node)
        raise TypeError(f"hassil made an expression of an unknown kind: {node!r}")

    def _rule(self, name: str) -> str:
        if name not in self.rules:
            raise XlmergeError(f"{self.locale}: a template refers to the rule <{name}>, which does not exist")
        return self._text(self.rules[name].expression)

    def _list(self, node: ListReference) -> str:
        inline = node.get_inline_range()
        if inline:
            start, stop, step = inline
            return str(self.rng.randrange(start, stop + 1, step))
        if node.list_name in self.own_lists:
            return str(self.rng.choice(self.values[self.own_lists[node.list_name]]))
        slot_list = self.lists.get(node.list_name)
        if isinstance(slot_list, TextSlotList) and slot_list.values:
            return self._text(self.rng.choice(slot_list.values).text_in)
        if isinstance(slot_list, RangeSlotList):
            return str(self.rng.randrange(slot_list.start, slot_list.stop + 1, slot_list.step))
        raise XlmergeError(f"{self.locale}: a template refers to the list {{{node.list_name}}}, which has no values")
