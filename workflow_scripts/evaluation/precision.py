"""The number format of a run's forward passes: one for all its jobs; a fast one only where predictions stay the same.

float32 needs no decision. For any other setting the rule `precision` tries it out once per run, and its decision is an
input of every job that scores models.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FLOAT32 = "float32"
FAST = ("bf16", "medium")  # the fastest first
LEAST_EQUAL = 0.999  # share of the predictions that a fast format must leave as they are

Decision = dict[str, Any]


def made_decision(inputs: Mapping[str, Any]) -> Decision:
    """Return what the run's rule `precision` decided.

    Parameters
    ----------
    inputs : mapping
        ``precision``: no file in a run that uses float32, else the file with the decision.
    """
    made = foreseen_decision(inputs, lambda path: Path(path).read_text(encoding="utf-8"))
    assert made is not None
    return made


def foreseen_decision(inputs: Mapping[str, Any], read: Callable[[str], str | None]) -> Decision | None:
    """Return the same, or None if `read` (path → content) knows no content, since the file has yet to be made."""
    files = inputs.get("precision")
    if not files:
        return {"mode": FLOAT32}
    text = read(files if isinstance(files, str) else files[0])
    return None if text is None else dict(json.loads(text))


def decided_scoring(scoring: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of scoring (see `cells.cell_cache`) with the number format that the run uses."""
    return {**scoring, "evaluation": {**scoring["evaluation"], "precision": made["mode"]}}
