"""What `tune:` in a block asks for: a system that picks one of several experiments for each target."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workflow_scripts.core import signatures
from workflow_scripts.core.errors import XlmergeError, did_you_mean
from workflow_scripts.study.config import Ablation

METHOD = "merge method"


@dataclass
class TunedSpec:
    """A tuned system.

    Attributes
    ----------
    settings : dict
        Those of its members; a parameter that is tuned has a word in place of its value.
    members : list of str
        The experiments that it picks from, the one nearest to the method's defaults first, of equals the smaller value.
    on : {"target", "others"}
        Whose validation data pick.
    parameters : list of str
        What is tuned.
    targets, ablations, allowed : list of str
        As of an `ExperimentSpec`.
    """

    settings: dict[str, Any]
    members: list[str]
    on: str
    parameters: list[str]
    targets: list[str] = field(default_factory=list)
    ablations: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)


def tuned_settings(settings: Mapping[str, Any], block: Ablation) -> dict[str, Any]:
    """Return the settings of a tuned system, given those of a member."""
    return {
        **settings,
        "method_parameters": {**settings["method_parameters"], **dict.fromkeys(block.tune, word(block))},
    }


def word(block: Ablation) -> str:
    """Return what stands for the value of a tuned parameter."""
    return f"tuned on {block.tune_on}"


def check_tune(block: Ablation, methods: Sequence[str]) -> None:
    """Raise an `XlmergeError` if a block tunes nothing, or what it cannot; values are checked where they are used."""
    if not block.tune and block.tune_on == "others":
        raise XlmergeError("tune_on says by what `tune` picks: name the parameters under `tune`, or leave it out")
    for key, values in block.tune.items():
        if not values:
            raise XlmergeError(f"tune.{key} is an empty list")
        if any(value in values[:i] for i, value in enumerate(values)):
            raise XlmergeError(f"tune.{key} has a value twice")
        if key in {*block.fixed, *block.sweep}:
            raise XlmergeError(f"{key} is tuned, and also fixed or swept: leave it out there")
        for method in methods:
            accepted = signatures.parameter_names(METHOD, method)
            if key not in accepted:
                raise XlmergeError(
                    f"tune.{key}: {method} has no such parameter{did_you_mean(key, accepted)}; tune it in a block of "
                    "the methods that have it"
                )


def combinations(block: Ablation) -> list[dict[str, Any]]:
    """Return the values that `tune` multiplies out to; one empty combination where nothing is tuned."""
    return [dict(zip(block.tune, values, strict=True)) for values in itertools.product(*block.tune.values())]


def at_defaults(settings: Mapping[str, Any], parameters: Sequence[str]) -> bool:
    """Tell whether some of a method's parameters have their default values."""
    return not any(_distance(settings, key) for key in parameters)


def preference(settings: Mapping[str, Any], block: Ablation) -> tuple[Any, ...]:
    """Return what a tie between members is decided by: the distance from the defaults, then the smaller value."""
    values = [settings["method_parameters"][key] for key in block.tune]
    numbers = [_is_number(v) and all(map(_is_number, block.tune[k])) for k, v in zip(block.tune, values, strict=True)]
    places = [
        value if number else block.tune[key].index(value)
        for key, value, number in zip(block.tune, values, numbers, strict=True)
    ]
    return tuple(_distance(settings, key) for key in block.tune), tuple(places)


def _distance(settings: Mapping[str, Any], key: str) -> float:
    value, default = settings["method_parameters"][key], _default(settings["method"], key)
    return abs(value - default) if _is_number(value) and _is_number(default) else float(value != default)


def _default(method: str, key: str) -> Any:
    return signatures.parameter_model(METHOD, method).model_fields[key].default


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
