"""What one could do for a target without its own model, and the choice among it: the one home of advice.

Choices read validation accuracies only, never a test result. Options are ways of doing, made anew with every seed: the
experiment, or the rule that names a source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from workflow_scripts.selection.systems import MEAN_SINGLE, MERGE, TIERS, offered

LABELLED = ("labelled validation", "labelled training")  # tiers that may look at the target's validation accuracies
Kind = Literal["merge", "single source", "train on the labels"]
Key = tuple[str, str]  # (experiment, system), as in the evaluation tables
REFERENCE: Key = ("", MEAN_SINGLE)  # how hard a target is, where targets are averaged


@dataclass(frozen=True)
class Option:
    """Something that one could do for a target.

    Attributes
    ----------
    key : (str, str)
        Experiment and system of its rows in the evaluation.
    kind : {"merge", "single source", "train on the labels"}
    tier : str
        Supervision that it needs.
    what : str
        The experiment, the source's locale (several, joined by ``/``, where seeds disagree), or the training's system.
    validation : float
        Accuracy on the target's validation data, mean over seeds.
    advantage : float
        The same − the mean of all other locales' models there.
    """

    key: Key
    kind: Kind
    tier: str
    what: str
    validation: float
    advantage: float


@dataclass(frozen=True)
class TargetChoice:
    """What is chosen for one target and tier.

    Attributes
    ----------
    single : Option
        The best single source: what one does without merging.
    merge : Option or None
        The best merge; None if no experiment is of the tier.
    recipe : Option or None
        The merge that is best on the *other* targets' validation data: what one makes without trying several.
    """

    single: Option
    merge: Option | None
    recipe: Option | None
    scores: Mapping[Key, float]

    @property
    def chosen(self) -> Option:
        """The merge if it scores better than the single source; a tie goes to the single source."""
        better = self.merge is not None and self.scores[self.merge.key] > self.scores[self.single.key]
        return self.merge if better and self.merge is not None else self.single


def target_options(systems: pd.DataFrame, experiments: Mapping[str, Mapping[str, object]]) -> list[Option]:
    """Return the options for one target: single sources first, merges in the config's order.

    Merges that include the target's own model are none: the question is what one would do without it.

    Parameters
    ----------
    systems : DataFrame
        The target's evaluation, rows that are means over seeds.
    experiments : mapping
        Experiment → its settings.
    """
    rows = systems.set_index(["experiment", "system"])
    without = [name for name, settings in experiments.items() if not settings["include_target"]]
    singles: list[Key] = [("", system) for system in offered("target")]
    singles += [(name, system) for name in without for system in offered("experiment")]
    merges: list[Key] = [(name, MERGE) for name in without]
    hardness = rows.loc[REFERENCE, "accuracy_validation"]
    options = []
    for key in [*singles, *merges]:
        if key in rows.index:
            row = rows.loc[key]
            merged = key[1] == MERGE
            validation = float(row["accuracy_validation"])
            options.append(
                Option(
                    key,
                    "merge" if merged else "single source",
                    str(row["tier"]),
                    key[0] if merged else str(row["model"]),
                    validation,
                    float(validation - hardness),
                )
            )
    return options


def choose(options: Mapping[str, Sequence[Option]], target: str, tier: str) -> TargetChoice | None:
    """Return the choice for one target at one tier; None if no single source is of the tier.

    From `labelled validation` on, options are scored by their accuracy on the target's own validation data. Below it
    nothing of the target's labels may be seen: options are scored by their mean advantage over the mean source on the
    *other* targets' validation data. Ties go to the option that comes first.

    Parameters
    ----------
    options : mapping
        Target → its options.
    target, tier : str
    """
    allowed = [o for o in options[target] if within(o.tier, tier)]
    elsewhere = _elsewhere(options, target)
    others = {o.key: elsewhere.get(o.key, 0.0) for o in allowed}
    scores = {o.key: o.validation for o in allowed} if tier in LABELLED else others
    singles, merges = ([o for o in allowed if o.kind == kind] for kind in ("single source", "merge"))
    if not singles:
        return None
    if not merges:
        return TargetChoice(_best(singles, scores), None, None, scores)
    return TargetChoice(_best(singles, scores), _best(merges, scores), _best(merges, others), scores)


def within(tier: str, limit: str) -> bool:
    """Tell whether a tier needs no more supervision than another."""
    return TIERS.index(tier) <= TIERS.index(limit)


def _elsewhere(options: Mapping[str, Sequence[Option]], target: str) -> dict[Key, float]:
    """Return every option's mean advantage on the other targets' validation data."""
    advantages: dict[Key, list[float]] = {}
    for other, of_other in options.items():
        for option in of_other if other != target else ():
            advantages.setdefault(option.key, []).append(option.advantage)
    return {key: float(np.mean(values)) for key, values in advantages.items()}


def _best(options: Sequence[Option], scores: Mapping[Key, float]) -> Option:
    return max(options, key=lambda o: scores[o.key])  # the first of equals
