"""Experiments: what `ablations:` blocks expand to, one canonical form, one name each."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError

from workflow_scripts.core import registry, signatures
from workflow_scripts.core.digests import digest_of
from workflow_scripts.core.errors import XlmergeError, did_you_mean
from workflow_scripts.core.validation import describe
from workflow_scripts.merging.method import load_method
from workflow_scripts.study.config import Ablation, Experiment, Run
from workflow_scripts.study.tuning import (
    TunedSpec,
    at_defaults,
    check_tune,
    combinations,
    preference,
    tuned_settings,
)

PLUGINS = (("method", "merge method"), ("selector", "selector"))
LONGEST = 150  # characters of an experiment's name: it is a folder's, and part of a log's


class Expanded(NamedTuple):
    """A row of a block: what identifies an experiment, and what its block wants of it."""

    settings: dict[str, Any]
    targets: list[str]
    allowed: str | None  # supervision
    joint: bool


@dataclass
class ExperimentSpec:
    """One experiment: a method, a selection, its parameters, and the targets that ask for it."""

    settings: dict[str, Any]
    targets: list[str] = field(default_factory=list)
    ablations: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)  # supervision tiers that blocks restrict it to
    joint: list[str] = field(default_factory=list)  # targets with a joint training beside the merge
    plain: bool = False  # is it wanted by itself, not only as one of those that a tuned system picks from?

    @property
    def key(self) -> str:
        """Digest of the settings: equal experiments of several blocks collapse."""
        return digest_of(self.settings)

    @property
    def name(self) -> str:
        """Name for people and for paths; never parsed."""
        return experiment_name(self.settings)


def expand(run: Run) -> tuple[dict[str, ExperimentSpec], dict[str, TunedSpec]]:
    """Return the experiments of all ablations, and the tuned systems, by name; of duplicates the targets are united.

    A member of a tuned system that has the method's defaults is an experiment of its own as well.

    Raises
    ------
    XlmergeError
        For an unknown key, method, measure, selector, parameter or target; the message names the block.
    """
    specs: dict[str, ExperimentSpec] = {}
    tuned: dict[str, TunedSpec] = {}
    for block in run.ablations:
        try:
            for members in _expand_block(block, run):
                for row in members:
                    spec = ExperimentSpec(row.settings)
                    spec = specs.setdefault(spec.name, spec)
                    if spec.settings != row.settings:
                        raise XlmergeError(f"two different experiments would be called {spec.name!r}")
                    spec.plain |= at_defaults(row.settings, list(block.tune))
                    if row.joint:
                        spec.joint = [t for t in run.locales if t in {*spec.joint, *row.targets}]
                    _ask_for(spec, row, block, run)
                if block.tune:
                    _ask_for(_tuned(members, block, tuned), members[0], block, run)
            for name, system in tuned.items():
                if system.on == "others" and len(system.targets) < 2:
                    raise XlmergeError(
                        f"{name}: tune_on: others picks by the validation data of the other targets, and there is one "
                        "target only; use `tune_on: target`, or more targets"
                    )
        except XlmergeError as error:
            raise XlmergeError(f"ablation {block.name!r}: {error}") from None
        except ValidationError as error:
            raise XlmergeError(f"ablation {block.name!r}: {describe(error)}") from None
    return specs, tuned


def _ask_for(spec: ExperimentSpec | TunedSpec, row: Expanded, block: Ablation, run: Run) -> None:
    """Note what a block wants of an experiment or a tuned system."""
    spec.targets = [t for t in run.locales if t in {*spec.targets, *row.targets}]
    if block.name not in spec.ablations:
        spec.ablations.append(block.name)
    if row.allowed is not None:
        spec.allowed.append(row.allowed)


def _tuned(rows: list[Expanded], block: Ablation, tuned: dict[str, TunedSpec]) -> TunedSpec:
    """Return the tuned system that picks from a block's rows, which differ in what is tuned alone."""
    rows = sorted(rows, key=lambda row: preference(row.settings, block))
    members = [experiment_name(row.settings) for row in rows]
    name = experiment_name(rows[0].settings, list(block.tune), block.tune_on)
    spec = TunedSpec(tuned_settings(rows[0].settings, block), members, block.tune_on, sorted(block.tune))
    if tuned.setdefault(name, spec).members != members:
        raise XlmergeError(f"two tuned systems would be called {name!r}: let their blocks tune over the same values")
    return tuned[name]


def _expand_block(block: Ablation, run: Run) -> list[list[Expanded]]:
    """Return the experiments of a block; those that a tuned system picks from stand together."""
    both = set(block.fixed) & set(block.sweep)
    if both:
        raise XlmergeError(f"{', '.join(sorted(both))} is both fixed and swept")
    empty = [k for k, v in block.sweep.items() if not v]
    if empty:
        raise XlmergeError(f"sweep.{empty[0]} is an empty list")
    rows = [
        {**block.fixed, **dict(zip(block.sweep, values, strict=True))}
        for values in itertools.product(*block.sweep.values())
    ]
    check_tune(block, [str(row.get("method", Experiment.model_fields["method"].default)) for row in rows])
    used: set[str] = set()
    expanded = [[_canonical({**row, **values}, run, used) for values in combinations(block)] for row in rows]
    unused = {k for row in rows for k in row} - used - set(Experiment.model_fields)
    if unused:
        raise XlmergeError(_unknown_key(sorted(unused)[0], rows))
    return expanded


def _canonical(row: dict[str, Any], run: Run, used: set[str]) -> Expanded:
    """Return the settings with all defaults filled in, targets, allowed supervision; note which keys were of use."""
    keys = Experiment(**{k: v for k, v in row.items() if k in Experiment.model_fields})
    settings = keys.model_dump(exclude={"locales", "model_family", "supervision", "joint"})
    if not keys.include_target:
        settings["target_similarity"] = 1.0  # of no use: must not make two experiments of one
    for key, kind in PLUGINS:
        settings[key] = registry.resolve(kind, settings[key]).rsplit(".", 1)[1]
        accepted = signatures.parameter_names(kind, settings[key])
        used |= accepted & set(row)
        given = {k: row[k] for k in accepted & set(row)}
        settings[f"{key}_parameters"] = signatures.parameters(kind, settings[key], given)
    load_method(settings["method"], settings["method_parameters"])  # do they go together?
    settings["similarity_type"] = _similarity_type(run, settings["similarity_type"])
    _check_family(keys.model_family, run)
    return Expanded(settings, _targets(keys.locales, run, settings["selector"]), keys.supervision, keys.joint)


def _similarity_type(run: Run, given: str) -> str:
    """Return the spelling that stands for a similarity type: the config's own name, or the measure's in capitals."""
    registry.resolve("similarity measure", measure_of(run, given)[0])
    named = {name.lower(): name for name in run.similarity}
    return named.get(given.lower(), given.upper())


def measure_of(run: Run, similarity_type: str) -> tuple[str, dict[str, Any]]:
    """Return the measure and the given parameters behind a `similarity_type`."""
    given = dict(run.similarity.get(similarity_type, {}))
    return given.pop("measure", similarity_type), given


def _check_family(family: str | None, run: Run) -> None:
    if family is not None and family != run.base.name:
        raise XlmergeError(
            f"model_family is {family!r} but this run's base is {run.base.name!r}; use one run per base model"
        )


def _targets(locales: list[str] | None, run: Run, selector: str) -> list[str]:
    """Return the targets; the pivot is none for a selector that always takes it as a source."""
    for locale in locales or []:
        if locale not in run.locales:
            raise XlmergeError(f"target {locale!r} is not among the run's locales{did_you_mean(locale, run.locales)}")
    if not getattr(registry.load("selector", selector), "WITHOUT_PIVOT", False):
        return list(locales or run.locales)
    if run.pivot not in run.locales or run.pivot in (locales or []):
        raise XlmergeError(
            f"selector {selector!r} takes the pivot {run.pivot!r} as a source: it must be one of the run's locales, "
            "and cannot be the target"
        )
    return [name for name in locales or run.locales if name != run.pivot]


def _unknown_key(key: str, rows: list[dict[str, Any]]) -> str:
    accepted = set(Experiment.model_fields)
    for name, kind in PLUGINS:
        for row in rows:
            chosen = str(row.get(name, Experiment.model_fields[name].default))
            accepted |= signatures.parameter_names(kind, chosen)
    return (
        f"unknown key {key!r}{did_you_mean(key, accepted)} (experiment keys: "
        f"{', '.join(sorted(Experiment.model_fields))}; parameters here: "
        f"{', '.join(sorted(accepted - set(Experiment.model_fields))) or 'none'})"
    )


def experiment_name(settings: dict[str, Any], tuned: Sequence[str] = (), on: str = "target") -> str:
    """Return the name of an experiment; parameters appear where they differ from their defaults, or are tuned."""
    fixed = {key: value for key, value in settings["method_parameters"].items() if key not in tuned}
    settings = {**settings, "method_parameters": fixed}
    method, selector = (
        signatures.changed_parameters(kind, settings[key], settings[f"{key}_parameters"]) for key, kind in PLUGINS
    )
    if tuned:
        method += [f"tuned-{'+'.join(sorted(tuned))}", *(["others"] if on == "others" else [])]
    parts = [settings["method"], *method, settings["similarity_type"]]
    if settings["selector"] != "top_k":
        parts.append(settings["selector"])
    parts += [*selector, f"k{settings['num_languages']}", "inc" if settings["include_target"] else "exc"]
    if settings["target_similarity"] != 1.0:
        parts.append(f"target-{settings['target_similarity']}")
    if settings["compatibility"]:
        parts.append("compatible")
    name = "_".join(parts)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}_{digest_of(settings)[:8]}"
