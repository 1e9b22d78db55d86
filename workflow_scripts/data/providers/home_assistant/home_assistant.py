"""Sentences sampled from the home-assistant-intents templates, real commands in some 60 languages.

The templates are written by native contributors (CC BY 4.0). Each sentence is the end of a seeded random walk over
a parsed template; lists without values in the package (areas, device names, floors, free text) take theirs from
``values/{locale}.json``. Templates, not sentences, are dealt to the splits, so that no template is in
two of them; the template is the example's cluster. A sentence that was sampled under two intents is left out,
because its label would be arbitrary.
"""

import json
import random
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from workflow_scripts.core.digests import derive_seed, digest_of
from workflow_scripts.core.downloads import verify_package
from workflow_scripts.core.errors import XlmergeError, did_you_mean, unknown
from workflow_scripts.core.validation import Closed
from workflow_scripts.data.look import Loaded, Utterance

if TYPE_CHECKING:
    from hassil.expression import Sentence
    from hassil.intents import IntentData, Intents

VALUES = Path(__file__).resolve().with_name("values")
SPLITS = ("test", "validation", "train")
LABELS = (
    "HassTurnOn", "HassTurnOff", "HassLightSet", "HassGetState", "HassGetWeather", "HassClimateGetTemperature",
    "HassStartTimer", "HassCancelTimer", "HassIncreaseTimer", "HassDecreaseTimer", "HassPauseTimer",
    "HassUnpauseTimer", "HassMediaNext", "HassMediaPause", "HassMediaUnpause", "HassMediaPrevious",
)  # fmt: skip

OTHER_INTENTS = (
    "HassBroadcast", "HassCancelAllTimers", "HassClimateSetFanMode", "HassClimateSetTemperature", "HassFanSetSpeed",
    "HassGetCurrentDate", "HassGetCurrentTime", "HassLawnMowerDock", "HassLawnMowerStartMowing", "HassListAddItem",
    "HassListCompleteItem", "HassListRemoveItem", "HassMediaPlayerMute", "HassMediaPlayerUnmute",
    "HassMediaSearchAndPlay", "HassNevermind", "HassRespond", "HassSetPosition", "HassSetVolume",
    "HassSetVolumeRelative", "HassShoppingListAddItem", "HassShoppingListCompleteItem", "HassTimerStatus",
    "HassVacuumCleanArea", "HassVacuumReturnToBase", "HassVacuumStart",
)  # fmt: skip


class Settings(Closed):
    """Templates of home-assistant-intents, embedded: no download."""

    provider: Literal["home_assistant"] = "home_assistant"
    seed: int = Field(0, ge=0, description="Seed of the walks and of the split by template.")
    train_per_intent: int = Field(60, ge=1, description="At most so many training sentences per intent.")
    validation_per_intent: int = Field(10, ge=1, description="At most so many validation sentences per intent.")
    test_per_intent: int = Field(20, ge=1, description="At most so many test sentences per intent.")
    walks_per_template: int = Field(40, ge=1, description="Random walks tried per template.")


def labels(settings: Settings, locales: list[str]) -> list[str]:
    """Return the default intents: 16 that 32 locales cover with two templates or more each, 26 with three."""
    return list(LABELS)


def check_labels(settings: Settings, intents: list[str]) -> None:
    """Raise an `XlmergeError` for an intent that no template has."""
    existing = [*LABELS, *OTHER_INTENTS]
    for intent in intents:
        if intent not in existing:
            raise XlmergeError(f"labels: {unknown('intent', intent, existing)}")


def check(settings: Settings, locales: list[str]) -> None:
    """Raise an `XlmergeError` that names the first locale without values."""
    having = sorted(p.stem for p in VALUES.glob("*.json"))
    for locale in locales:
        if locale not in having:
            raise XlmergeError(
                f"home_assistant has no locale {locale!r}{did_you_mean(locale, having)} (it has: {', '.join(having)})"
            )


def source_files(settings: Settings, locale: str, split: str) -> list[str]:
    """Return the files whose change makes the examples stale: the locale's value lists."""
    path = VALUES / f"{locale}.json"  # relative where it lies below the working directory: a clone may be moved
    return [str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)]


def load(settings: Settings, locale: str, split: str, intents: list[str]) -> Loaded:
    """Return the examples of one locale and split.

    Parameters
    ----------
    settings : Settings
    locale : str
    split : {"train", "validation", "test"}
    intents : list of str
        The ordered labels.

    Returns
    -------
    Loaded
        The template is the cluster.
    """
    caps = {s: getattr(settings, f"{s}_per_intent") for s in SPLITS}
    sampled = _sample(settings, locale, tuple(intents))
    ambiguous = _ambiguous(sampled)
    return Loaded(
        [
            Utterance(f"{locale}/{intent}/{template}/{number}", text, intent, f"{intent}/{template}")
            for intent in intents
            for template, number, text in _deal(sampled[intent][split], caps[split], ambiguous)
        ]
    )


def _package_intents(language: str) -> "Intents":
    import home_assistant_intents
    from hassil.intents import Intents

    verify_package("home-assistant-intents", f"home_assistant_intents/data/{language}.json")
    path = Path(home_assistant_intents.__file__).parent / "data" / f"{language}.json"
    return Intents.from_dict(json.loads(path.read_text(encoding="utf-8")))


Sampled = dict[str, dict[str, list[str]]]  # split → template → sentences


@lru_cache(maxsize=1)
def _sample(settings: Settings, locale: str, intents: tuple[str, ...]) -> dict[str, Sampled]:
    """Sample every template of a locale; kept for its other splits."""
    values = json.loads((VALUES / f"{locale}.json").read_text(encoding="utf-8"))
    parsed = _package_intents(values["language"])
    return {intent: _sample_intent(parsed, values, intent, locale, settings) for intent in intents}


def _sample_intent(parsed: "Intents", values: dict[str, Any], intent: str, locale: str, settings: Settings) -> Sampled:
    """Sample every template of one intent and deal the templates to the splits."""
    from workflow_scripts.data.providers.home_assistant.template_walk import NAMED_OTHERWISE, Walker, domains

    templates: dict[str, list[str]] = {}
    for block in parsed.intents[intent].data if intent in parsed.intents else []:
        for sentence in block.sentences:
            if domains(block) & NAMED_OTHERWISE and "name" in _lists(parsed, block, sentence):
                continue  # the locale's names are devices: "the scene thermostat" would make no sense
            key = digest_of(sentence.text)[:10]
            if key not in templates:
                rng = random.Random(derive_seed("walk", settings.seed, locale, intent, key))
                walker = Walker(parsed, block, values, rng, locale)
                texts = (walker.walk(sentence.expression) for _ in range(settings.walks_per_template))
                templates[key] = list(dict.fromkeys(t for t in texts if t))
    split_of = _split_templates(sorted(templates), derive_seed("split", settings.seed, locale, intent))
    return {s: {k: v for k, v in templates.items() if split_of[k] == s} for s in SPLITS}


def _lists(parsed: "Intents", block: "IntentData", sentence: "Sentence") -> set[str]:
    """Return the names of the lists that a template can draw from."""
    return set(sentence.list_names({**parsed.expansion_rules, **block.expansion_rules}))


def _split_templates(templates: list[str], seed: int) -> dict[str, str]:
    """Give about a quarter of the templates to test, a sixth to validation, the rest to training.

    With three templates or more each split gets one; two go to training and test, a single one to training.
    """
    order = templates.copy()
    random.Random(seed).shuffle(order)
    n = len(order)
    n_test = max(1, round(n / 4)) if n >= 2 else 0
    n_validation = max(1, round(n / 6)) if n >= 3 else 0
    names = ["test"] * n_test + ["validation"] * n_validation + ["train"] * (n - n_test - n_validation)
    return dict(zip(order, names, strict=True))


def _ambiguous(sampled: dict[str, Sampled]) -> set[str]:
    """Return the sentences that were sampled under more than one intent."""
    intents_of: dict[str, set[str]] = {}
    for intent, splits in sampled.items():
        for texts in (t for templates in splits.values() for t in templates.values()):
            for text in texts:
                intents_of.setdefault(text.casefold(), set()).add(intent)
    return {text for text, found in intents_of.items() if len(found) > 1}


def _deal(templates: dict[str, list[str]], cap: int, ambiguous: set[str]) -> Iterator[tuple[str, int, str]]:
    """Take sentences from the templates in turn, each text once, until the cap is reached."""
    queues = {k: [t for t in v if t.casefold() not in ambiguous] for k, v in sorted(templates.items())}
    seen: set[str] = set()
    for number in range(max(map(len, queues.values()), default=0)):
        for template, texts in queues.items():
            if number < len(texts) and texts[number].casefold() not in seen and len(seen) < cap:
                seen.add(texts[number].casefold())
                yield template, number, texts[number]
