"""From mergekit's YAML to what `merge_checkpoints` takes: per tensor a method, its parameters and weights.

Fractions count all elements of a tensor, weights are raw, and what a parameter leaves out is mergekit's default.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isclose
from pathlib import Path
from typing import Any, Literal

from workflow_scripts.checkpoints.mergekit_config import MergekitConfig, Values, depth, read_config
from workflow_scripts.checkpoints.models import Models
from workflow_scripts.core.errors import XlmergeError, did_you_mean, unknown
from workflow_scripts.merging.method import Step
from workflow_scripts.merging.pieces import Layout

Make = Callable[[Values, Sequence[str]], Step | None]  # a tensor's parameters, source names → step; None: θ₀ stays
Each = dict[str, Any] | None  # parameters of the method that makes a source sparse; None: it stays as it is

GAMMA, EPSILON = 0.01, 0.15
SHARED = frozenset({"int8_mask", "normalize", "rescale", "lambda"})
PER_MODEL = frozenset({"weight"})
RANDOM = ("dare_linear", "della")
JOINT: dict[tuple[str | None, bool], str] = {  # makes sources sparse, elects signs → does both
    ("ties", True): "ties",
    ("dare_linear", True): "dare_ties",
    ("dare_linear", False): "dare_linear",
    ("breadcrumbs", False): "breadcrumbs",
    ("della", True): "della",
}
EMPTY: dict[str, Any] = {}  # nothing is left of a source
NEGLIGIBLE = 1e-8  # mergekit does not divide by less
NOT_HERE = ("arcee_fusion", "multislerp", "nearswap", "nuslerp", "passthrough", "ram", "ramplus_tl")
FREE = {"max_iter", "tol"}  # Karcher means are iterated until nothing moves


@dataclass(frozen=True)
class Rule:
    """How a method of mergekit is translated.

    Attributes
    ----------
    make : callable
    base : {"origin", "joins", "first"}
        The base model is θ₀ and no source (required); it is one of the sources, if there is one; or it is the first of
        the sources (required).
    shared, per_model : frozenset of str
        Its parameters: for all models alike, and those that a model may have of its own.
    sources : (int, int or None)
        How few and how many it takes.
    """

    make: Make
    base: Literal["origin", "joins", "first"]
    shared: frozenset[str] = SHARED
    per_model: frozenset[str] = PER_MODEL
    sources: tuple[int, int | None] = (1, None)


def linear(values: Values, names: Sequence[str]) -> Step:
    """Σ wᵢθᵢ, by default divided by Σ wᵢ."""
    weights = values.numbers("weight")
    total = sum(weights)
    if values.flag("normalize", True):
        if total == 0:
            raise XlmergeError(f"linear: the weights for tensor {values.tensor} sum to 0")
        weights = [w / total for w in weights]
    elif not isclose(total, 1):
        raise XlmergeError(
            f"linear: without `normalize` the weights for tensor {values.tensor} sum to {total:g}, which would scale "
            "the whole model; let them sum to 1"
        )
    return Step("similarity", {}, tuple(weights), raw=min(weights) < 0)


def slerp(values: Values, names: Sequence[str]) -> Step:
    """Spherical interpolation of whole weights from the base model (t = 0) to the other (t = 1)."""
    t = values.number("t")
    if not 0 <= t <= 1:
        raise XlmergeError(f"slerp: t lies between 0 and 1, got {t:g} for tensor {values.tensor}")
    return Step("slerp", {"space": "weights", "sines": "raw"}, (1 - t, t))


def karcher(values: Values, names: Sequence[str]) -> Step:
    """Unweighted Karcher mean of whole weights."""
    return Step("karcher", {"space": "weights", "parallel": 1.0}, _equal(names))


def model_stock(values: Values, names: Sequence[str]) -> Step:
    """Model stock without bounds."""
    if values.flag("filter_wise", False):
        raise XlmergeError("model_stock: `filter_wise` is not supported; cosines are per tensor")
    return Step("model_stock", {"clip": False}, _equal(names))


def sce(values: Values, names: Sequence[str]) -> Step | None:
    """SCE; nothing or everything may be selected."""
    ratio = values.number("select_topk", 1.0)
    if ratio <= 0:
        return None
    return Step("sce", {"ratio": ratio if ratio < 1 else None, "minimum": 0}, _equal(names))


def task_arithmetic(
    values: Values, names: Sequence[str], *, sparse: str | None, elect: bool, normalize: bool
) -> Step | None:
    """Sum sparse task vectors by weight, with or without electing signs: the family of task arithmetic.

    Parameters
    ----------
    sparse : {"ties", "dare_linear", "breadcrumbs", "della"} or None
        What makes a source sparse.
    elect : bool
    normalize : bool
        The default of the parameter.
    """
    weights, sparsity = values.numbers("weight"), _sparsity(values, sparse)
    kept = [0.0 if each == EMPTY else w for w, each in zip(weights, sparsity, strict=True)]
    if not any(kept):
        return None
    if elect and min(kept) < 0:
        raise XlmergeError(
            f"{values.config.merge_method}: electing signs takes weights of 0 or more, got {weights} for tensor "
            f"{values.tensor}"
        )
    raw = min(kept) < 0
    shares = kept if raw else [w / sum(kept) for w in kept]
    total = 1.0 if raw else sum(kept)  # Σ wτ is so many times Σ share·τ
    divide, scaling = values.flag("normalize", normalize), values.number("lambda", 1.0)
    if elect:
        last: dict[str, Any] = {"normalize": divide, "scaling": scaling if divide else scaling * total}
    else:
        divisor = sum(weights) if divide and abs(sum(weights)) >= NEGLIGIBLE else 1.0
        last = {"scaling": scaling * total / divisor}
    used = [each for each, w in zip(sparsity, kept, strict=True) if w]
    method, parameters = _joined(sparse, elect, dict(zip(names, sparsity, strict=True)), used, last)
    return Step(method, parameters, tuple(shares), raw=raw)


def _joined(
    sparse: str | None, elect: bool, sparsity: dict[str, Each], used: Sequence[Each], last: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the method that does it all in one go, or makes the sources sparse one by one first."""
    dense = "ties" if elect else "task_arithmetic"
    k = 1 if elect else len(sparsity)  # task arithmetic counts each source K·w times
    joint = JOINT.get((sparse, elect))
    finish = {**last, "scaling": last["scaling"] / k}
    if elect:
        finish |= {"density": 1.0, "trim": "tensor"}
    if all(each is None for each in used):
        return dense, finish
    if joint and all(each == used[0] for each in used):
        scaling = last["scaling"] / (1 if joint == "dare_linear" else k)
        return joint, {**(used[0] or {}), **last, "scaling": scaling}
    by_source = {name: None if each == EMPTY else each for name, each in sparsity.items()}
    return "per_source", {"inner": sparse, "by_source": by_source, "outer": dense, "outer_parameters": finish}


def _sparsity(values: Values, sparse: str | None) -> list[Each]:
    """Return the parameters that make each source sparse."""
    if sparse is None:
        return [None] * len(values.models)
    densities = values.numbers("density", 1.0)
    rescale = values.flag("rescale", sparse in RANDOM)
    if rescale and sparse not in RANDOM and min(densities) < 1:
        raise XlmergeError(f"{values.config.merge_method}: `rescale` is supported for dare and della only")
    second = {"breadcrumbs": values.numbers("gamma", GAMMA), "della": values.numbers("epsilon", EPSILON)}
    sparsity: list[Each] = []
    for i, density in enumerate(densities):
        if density < 0:
            raise XlmergeError(f"{values.config.merge_method}: density is 0 or more, got {density:g}")
        settings: dict[str, Any] = {"density": density, "count": "all"}
        if sparse == "ties":
            settings["trim"] = "tensor"
        if sparse == "breadcrumbs":
            settings |= {"gamma": second[sparse][i], "minimum": 0, "scaling": 1.0}
        if sparse == "dare_linear":
            settings = {"drop_rate": 1 - density}
        if sparse == "della":
            settings["epsilon"] = second[sparse][i]
        if sparse in RANDOM:
            settings["rescale"] = "l1" if rescale else "none"
        sparsity.append(None if density >= 1 else settings if density > 0 else EMPTY)
    return sparsity


def _equal(names: Sequence[str]) -> tuple[float, ...]:
    return (1 / len(names),) * len(names)


def _family(sparse: str | None, *, elect: bool, normalize: bool, extra: str = "") -> Rule:
    make = partial(task_arithmetic, sparse=sparse, elect=elect, normalize=normalize)
    return Rule(make, "origin", per_model=PER_MODEL | ({"density", extra} if sparse else set()) - {""})


RULES: Mapping[str, Rule] = {
    "linear": Rule(linear, "joins", frozenset({"normalize"})),
    "slerp": Rule(slerp, "first", frozenset({"t"}), frozenset(), (2, 2)),
    "karcher": Rule(karcher, "joins", frozenset(), frozenset()),
    "model_stock": Rule(model_stock, "origin", frozenset({"filter_wise"}), frozenset(), (2, None)),
    "sce": Rule(sce, "origin", frozenset({"int8_mask", "select_topk"}), frozenset()),
    "task_arithmetic": _family(None, elect=False, normalize=False),
    "ties": _family("ties", elect=True, normalize=True),
    "dare_ties": _family("dare_linear", elect=True, normalize=False),
    "dare_linear": _family("dare_linear", elect=False, normalize=False),
    "breadcrumbs": _family("breadcrumbs", elect=False, normalize=False, extra="gamma"),
    "breadcrumbs_ties": _family("breadcrumbs", elect=True, normalize=False, extra="gamma"),
    "della": _family("della", elect=True, normalize=True, extra="epsilon"),
    "della_linear": _family("della", elect=False, normalize=False, extra="epsilon"),
}


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
    config : MergekitConfig
    """

    sources: tuple[str, ...]
    base: str
    dtype: str
    config: MergekitConfig

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


def translate_config(config: MergekitConfig) -> Translation:
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


def _check_names(config: MergekitConfig) -> None:
    """Raise an `XlmergeError` for a parameter that none of mergekit's methods has."""
    places = {"parameters": config.parameters, **{f"parameters of {m.model}": m.parameters for m in config.models}}
    for place, given in places.items():
        for name in given:
            if name not in PARAMETERS:
                raise XlmergeError(f"{place}: unknown parameter {name!r}{did_you_mean(name, PARAMETERS)}")


def unused_parameters(config: MergekitConfig) -> list[str]:
    """Return what to tell about parameters that have no effect, here or in mergekit."""
    rule, method = _rule(config.merge_method), config.merge_method
    lost = sorted(config.parameters.keys() - rule.shared - rule.per_model)
    notes = [f"{method} does not use {', '.join(lost)}"] if lost else []
    of_models = {entry.model: sorted(entry.parameters.keys() - rule.per_model) for entry in config.models}
    return notes + [
        f"{method} does not use {', '.join(of_models[m])} of a single model ({m})" for m in of_models if of_models[m]
    ]


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
