"""From mergekit's YAML to what `merge_checkpoints` takes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from workflow_scripts.checkpoints.mergekit.config import Config, read_config
from workflow_scripts.checkpoints.mergekit.methods import RULES, Rule
from workflow_scripts.checkpoints.mergekit.values import Values, depth
from workflow_scripts.checkpoints.models import Models
from workflow_scripts.core.errors import XlmergeError, did_you_mean, unknown
from workflow_scripts.merging.method import Step
from workflow_scripts.merging.pieces import Layout

NOT_HERE = ("arcee_fusion", "multislerp", "nearswap", "nuslerp", "passthrough", "ram", "ramplus_tl")
FREE = {"max_iter", "tol"}  # Karcher means are iterated until nothing moves
PARAMETERS = FREE.union(*(rule.shared | rule.per_model for rule in RULES.values()))


@dataclass(frozen=True)
class Translation:
    """A merge that mergekit's YAML asks for.

    Attributes
    ----------
    sources : tuple of str
        As the file names them.
    base : str
        θ₀.
    dtype : str
        Of the output.
    config : Config
    """

    sources: tuple[str, ...]
    base: str
    dtype: str
    config: Config

    def steps(self, models: Models) -> list[Step]:
        """Return what is to be done, and tell what the file asks for in vain."""
        for note in unused_parameters(self.config):
            models.note(note)
        return steps_for(self, models.names, models.architecture.layout)


def translate(path: str | Path) -> Translation:
    """Read a file of mergekit's.

    Raises
    ------
    XlmergeError
        If it asks for something that xlmerge does not do, or that mergekit does not allow.
    """
    config = read_config(path)
    try:
        return translate_config(config)
    except XlmergeError as error:
        raise XlmergeError(f"{path}: {error}") from None


def translate_config(config: Config) -> Translation:
    """Return the merge that a config asks for; its parameters are resolved when the tensors are known."""
    rule = _rule(config.merge_method)
    _check_names(config)
    base, listed = config.base_model, [entry.model for entry in config.models]
    if base is None and rule.base != "joins":
        raise XlmergeError(f"{config.merge_method} needs `base_model`")
    others = [model for model in listed if model != base]
    if rule.base == "origin":
        sources = others
    elif rule.base == "first":
        sources = [str(base), *others]
    else:
        sources = listed if base is None or base in listed else [*listed, base]
    fewest, most = rule.sources
    if not fewest <= len(sources) <= (most or len(sources)):
        wanted = f"exactly {fewest}" if fewest == most else f"{fewest} or more"
        kind = "models beside the base model" if rule.base == "origin" else "models, the base model among them"
        raise XlmergeError(f"{config.merge_method} merges {wanted} {kind}, got {len(sources)}")
    return Translation(tuple(sources), base or listed[0], config.written_dtype, config)


def _rule(method: str) -> Rule:
    if method in NOT_HERE:
        raise XlmergeError(f"xlmerge does not have mergekit's {method}; it has {', '.join(sorted(RULES))}")
    if method not in RULES:
        raise XlmergeError(unknown("merge_method", method, RULES))
    return RULES[method]


def _check_names(config: Config) -> None:
    """Raise an `XlmergeError` for a parameter that none of mergekit's methods has."""
    places = {"parameters": config.parameters, **{f"parameters of {m.model}": m.parameters for m in config.models}}
    for place, given in places.items():
        for name in given:
            if name not in PARAMETERS:
                raise XlmergeError(f"{place}: unknown parameter {name!r}{did_you_mean(name, PARAMETERS)}")


def unused_parameters(config: Config) -> list[str]:
    """Return what to tell about parameters that have no effect, here or in mergekit."""
    rule, method = _rule(config.merge_method), config.merge_method
    lost = sorted(config.parameters.keys() - rule.shared - rule.per_model)
    notes = [f"{method} does not use {', '.join(lost)}"] if lost else []
    own = {entry.model: sorted(entry.parameters.keys() - rule.per_model) for entry in config.models}
    return notes + [f"{method} does not use {', '.join(own[m])} of a single model ({m})" for m in own if own[m]]


def steps_for(translation: Translation, names: Sequence[str], layout: Layout) -> list[Step]:
    """Return the steps, one for all tensors that are merged in the same way.

    Parameters
    ----------
    translation : Translation
    names : sequence of str
        The sources' names in the merge, in the order of ``translation.sources``.
    layout : Layout
        Its ``shapes`` are all tensors.
    """
    rule = RULES[translation.config.merge_method]
    alike: dict[str, tuple[Step, list[str]]] = {}
    for tensor in layout.shapes:
        values = Values(translation.config, translation.sources, tensor, depth(tensor, layout))
        if (step := rule.make(values, names)) is not None:
            key = json.dumps([step.method, step.parameters, step.weights, step.raw], sort_keys=True)
            alike.setdefault(key, (step, []))[1].append(tensor)
    return [replace(step, tensors=frozenset(tensors)) for step, tensors in alike.values()]
