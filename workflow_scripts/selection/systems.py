"""The one table of systems: everything that is scored on a target, what it is called, what it needs, how it is made.

A new baseline is a row here and its computation: of logits in `results.computations`, of a merge in
`selection.baselines`, of a training in `selection.trainings`. All that tells of systems reads this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

TIERS = ("none", "unlabelled", "labelled validation", "labelled training")  # supervision, least first
TUNED_ON_TARGET = "labelled validation"  # what picking among merges by the target's validation data needs
ORACLE = "oracle"  # chosen on the test data: no supervision buys it
OF_MERGE = "tier"  # the supervision is that of the merge, by this key of its plan entry
OF_SELECTION = "selection_tier"  # of the merge's selection, likewise

Scope = Literal["target", "experiment"]
Made = Literal["logits", "merge", "training"]
Compared = Literal["", "over targets", "on each target"]

MERGE = "merge"
SELF = "self"
BEST_SINGLE, BEST_SINGLE_ORACLE, MEAN_SINGLE = "best_zero_shot_val", "best_zero_shot", "mean_zero_shot"
ENGLISH, BEST_ELSEWHERE = "english", "best_zero_shot_elsewhere"
BEST_SOURCE, BEST_SOURCE_ORACLE, MEAN_SOURCE, TOP1 = "best_source_val", "best_source", "source_mean", "top1"
ENSEMBLE = "ensemble_weighted_soft"
AVERAGE_ALL, SEED_SOUP, SHRUNK_TOP1, SCALED_TOP1 = "average_all", "seed_soup", "shrunk_top1", "scaled_top1"
FEW_SHOT, FEW_SHOT_BASE, FEW_SHOT_MERGE = "few_shot", "few_shot_base", "few_shot_merge"
JOINT, JOINT_ONE, JOINT_ALL = "joint", "joint_one", "joint_all"


@dataclass(frozen=True)
class SystemRow:
    """A row of the table.

    Attributes
    ----------
    name : str
        In files, columns and the config.
    title : str
        What people read.
    tier : str
        The supervision that it needs: one of `TIERS`, `OF_MERGE`, `OF_SELECTION` or `ORACLE`.
    scope : {"target", "experiment"}
        A target has it once, or once beside each merge: made of that merge's sources.
    made : {"logits", "merge", "training"}
        Arithmetic on the logits of locales' models, a merge of the plan, or a training.
    asked : str
        What in the config asks for it: a name in `baselines:`, or a key of an ablation block. Empty: every run has it.
    compared : {"", "over targets", "on each target"}
        Are merges tested against it: not at all, over all targets, or on each target as well?
    mean : bool
        Is it a mean over systems, which nobody can use as one?
    offered : bool
        Is it a single source that advice chooses among?
    variant_of : str
        The system that stands for it where there is room for one.
    sized : bool
        Is it a family, one system per number of models (see `sized_name`)?
    curve : bool
        Is it also trained on fewer labelled sentences, one system per number of them (see `name_at`)?
    scaled : bool
        Is it one of several merges, one per λ (see `scaled_name`), picked by the target's validation data?
    """

    name: str
    title: str
    tier: str
    scope: Scope
    made: Made = "logits"
    asked: str = ""
    compared: Compared = "over targets"
    mean: bool = False
    offered: bool = False
    variant_of: str = ""
    sized: bool = False
    curve: bool = False
    scaled: bool = False

    @property
    def oracle(self) -> bool:
        """Tell whether it was chosen on the test data."""
        return self.tier == ORACLE

    @property
    def column(self) -> str:
        """Its name as a column; oracles are marked as such."""
        return f"{self.name}_oracle" if self.oracle else self.name

    def names(self, name: str) -> bool:
        """Tell whether a name is its own, or that of one of its family, curve or merges."""
        members = {"k": self.sized, "n": self.curve, "x": self.scaled}
        return self.name == name or any(name.startswith(f"{self.name}_{m}") for m, has in members.items() if has)

    def tier_beside(self, entry: Mapping[str, Any]) -> str:
        """Return the supervision that it needs beside the merge of a plan entry."""
        return str(entry[self.tier]) if self.tier in (OF_MERGE, OF_SELECTION) else self.tier


# In the order of columns.
SYSTEMS = (
    SystemRow(MERGE, "the merge", OF_MERGE, "experiment", "merge", compared=""),
    SystemRow(SELF, "the target's own model", "labelled training", "target"),
    SystemRow(BEST_SINGLE_ORACLE, "best other model (oracle: chosen on the test data)", ORACLE, "target", compared=""),
    SystemRow(
        BEST_SINGLE, "best other model, chosen on validation data", "labelled validation", "target",
        compared="on each target", offered=True,
    ),
    SystemRow(
        SCALED_TOP1, "best other model, chosen and its task vector scaled by validation data", "labelled validation",
        "target", "merge", asked=SCALED_TOP1, scaled=True,
    ),
    SystemRow(MEAN_SINGLE, "mean of all other models", "none", "target", compared="", mean=True),
    SystemRow(MEAN_SOURCE, "mean of the merge's sources", "none", "experiment", compared="", mean=True),
    SystemRow(
        BEST_SOURCE_ORACLE, "best of the merge's sources (oracle: chosen on the test data)", ORACLE, "experiment",
        compared="",
    ),
    SystemRow(
        BEST_SOURCE, "best of the merge's sources, chosen on validation data", "labelled validation", "experiment",
        compared="on each target",
    ),
    SystemRow(TOP1, "the merge's first source", OF_SELECTION, "experiment", offered=True),
    SystemRow(ENGLISH, "the pivot's model", "none", "target", offered=True),
    SystemRow(
        BEST_ELSEWHERE, "best other model, chosen on the other targets' validation data", "none", "target",
    ),
    SystemRow(AVERAGE_ALL, "uniform average of all other models", "none", "target", "merge", asked=AVERAGE_ALL),
    SystemRow(
        FEW_SHOT, "best other model, fine-tuned on the target's validation data", "labelled validation", "target",
        "training", asked=FEW_SHOT, curve=True,
    ),
    SystemRow(
        FEW_SHOT_BASE, "the base model, fine-tuned on the target's validation data", "labelled validation", "target",
        "training", asked=FEW_SHOT, variant_of=FEW_SHOT, curve=True,
    ),
    SystemRow(
        FEW_SHOT_MERGE, "the merge chosen on the target's validation data, fine-tuned on them", "labelled validation",
        "target", "training", asked=FEW_SHOT, variant_of=FEW_SHOT,
    ),
    SystemRow(
        SEED_SOUP, "uniform average of several seeds of the source that is best on validation data",
        "labelled validation", "target", "merge", asked=SEED_SOUP, sized=True,
    ),
    SystemRow(
        SHRUNK_TOP1, "the merge's first source, its task vector as long as the merged one", OF_SELECTION, "experiment",
        "merge", asked=SHRUNK_TOP1, variant_of=TOP1,
    ),
    SystemRow(
        JOINT_ONE, "one model fine-tuned on the data of the merge's sources, with the steps of one source",
        OF_SELECTION, "experiment", "training", asked=JOINT,
    ),
    SystemRow(
        JOINT_ALL, "one model fine-tuned on the data of the merge's sources, with the steps of all",
        OF_SELECTION, "experiment", "training", asked=JOINT,
    ),
    SystemRow(
        "ensemble_soft", "ensemble of the merge's sources: mean probabilities", OF_SELECTION, "experiment", compared="",
        variant_of=ENSEMBLE,
    ),
    SystemRow(
        ENSEMBLE, "ensemble of the merge's sources: probabilities weighted as in the merge", OF_SELECTION, "experiment",
    ),
    SystemRow(
        "ensemble_majority", "ensemble of the merge's sources: votes", OF_SELECTION, "experiment", compared="",
        variant_of=ENSEMBLE,
    ),
    SystemRow(
        "ensemble_weighted_majority", "ensemble of the merge's sources: votes weighted as in the merge", OF_SELECTION,
        "experiment", compared="", variant_of=ENSEMBLE,
    ),
    SystemRow(
        "ensemble_logits", "ensemble of the merge's sources: mean logits", OF_SELECTION, "experiment", compared="",
        variant_of=ENSEMBLE,
    ),
)  # fmt: skip


def system(name: str) -> SystemRow:
    """Return the row of a system; that of its family for a sized one."""
    return next(row for row in SYSTEMS if row.names(name))


def is_system(name: str) -> bool:
    """Tell whether a name is a system's, and no experiment's."""
    return any(row.names(name) for row in SYSTEMS)


def title(name: str) -> str:
    """Return what people read for a system."""
    return system(name).title


def column(name: str) -> str:
    """Return a system's column in tables; oracles are marked as such."""
    row = system(name)
    return row.column if row.name == name else name


def baselines(scope: Scope) -> list[SystemRow]:
    """Return the systems beside merges, of targets or of experiments, without families of sized ones."""
    return [row for row in SYSTEMS if row.scope == scope and row.name != MERGE and not row.sized]


def headline() -> list[SystemRow]:
    """Return the baselines of both scopes that stand for themselves: no variants."""
    return [row for row in SYSTEMS if row.name != MERGE and not (row.sized or row.variant_of)]


def compared(scope: Scope) -> list[SystemRow]:
    """Return what merges are tested against: what is judged on each target first, then logits, merges, trainings."""
    rows = [row for row in baselines(scope) if row.compared]
    return sorted(
        rows, key=lambda row: (row.compared != "on each target", ("logits", "merge", "training").index(row.made))
    )


def offered(scope: Scope) -> list[str]:
    """Return the names of the single sources that advice chooses among."""
    return [row.name for row in baselines(scope) if row.offered]


def usable(scope: Scope) -> list[SystemRow]:
    """Return what one could use instead of a merge: no oracles, no means, no variants."""
    return [row for row in baselines(scope) if not (row.oracle or row.mean or row.variant_of)]


def asked_by(wanted: str) -> list[str]:
    """Return the names of the systems that a name in `baselines:`, or a key of a block, asks for."""
    return [row.name for row in SYSTEMS if row.asked == wanted]


# What `baselines:` may hold.
ASKABLE = tuple(dict.fromkeys(row.asked for row in SYSTEMS if row.asked not in ("", JOINT)))


def sized_name(name: str, size: int) -> str:
    """Return the name of a family's member with so many models."""
    return f"{name}_k{size}"


def name_at(name: str, sentences: int) -> str:
    """Return the name of a training's system with so many labelled sentences."""
    return f"{name}_n{sentences}"


def scaled_name(scaling: float) -> str:
    """Return the name of the merge that `scaled_top1` is with one λ."""
    return f"{SCALED_TOP1}_x{scaling:g}"


def name_beside(name: str, experiment: str) -> str:
    """Return the name under which the scores of a system of an experiment are stored."""
    return f"{name} of {experiment}"
