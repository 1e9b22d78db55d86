"""The planned length of a training: ``epochs``, and at least ``min_steps``, so that little data are passed more often.

It is judged by validation loss ten times, or once an epoch where epochs are longer than a tenth of it; `convergence`
says when it ends earlier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

JUDGEMENTS = 10


@dataclass(frozen=True)
class Length:
    """The steps of a training.

    Attributes
    ----------
    most, least : int
        Optimiser steps.
    judged_every : int
        Steps between two judgements.
    """

    most: int
    least: int
    judged_every: int


def length_of(settings: Mapping[str, Any], sentences: int) -> Length:
    """Return the length of a training on so many sentences, by the config's `finetune:` block."""
    epoch = ceil(sentences / (settings["batch_size"] * settings["gradient_accumulation"]))
    least = settings["min_steps"]
    most = max(1, ceil(settings["epochs"] * epoch), least)
    return Length(most, least, max(1, min(most, max(epoch, most // JUDGEMENTS))))
