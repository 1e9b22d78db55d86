"""Older studies: thresholds of their rules, and what they reported, one file each in ``reference/``."""

from pathlib import Path
from typing import Any, TypedDict

import yaml

FOLDER = Path(__file__).parent / "reference"
STUDIES = ("massive_xlm_roberta_base",)  # its files: no folder is listed while the Snakefile is parsed
ZS_SELF = 0.6  # merge only where best zero-shot / self is below it
ZS_SELF_GATE = 0.7  # another one's: no merge above it
STRONG_SOURCE = 0.7  # do not merge where the best single source is above it


class Reference(TypedDict):
    """What a study reported; accuracies are of test data."""

    runs: dict[str, Any]  # `provider` and `base` (a list) of the runs that it is compared with
    experiment: dict[str, Any]  # settings of the experiment that comes nearest to its merges
    targets: int
    mean_accuracy: dict[str, float]  # system or merge method → mean over its targets
    improved: int  # targets where the better of its merges beats zero-shot
    difference: dict[str, tuple[str, float]]  # target → merge method, merge − zero-shot
    zero_shot: dict[str, float]  # by target, as what follows
    zero_shot_to_self: dict[str, float]


def reference_of(provider: str, base: str) -> str | None:
    """Return the name of the study on the same data provider and base model, or None."""
    runs = {name: read_reference(name)["runs"] for name in STUDIES}
    return next((n for n, on in runs.items() if on["provider"] == provider and base in on["base"]), None)


def read_reference(name: str) -> Reference:
    """Return what a study reported."""
    reference: Reference = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return reference
