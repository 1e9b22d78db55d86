"""Studies whose reported numbers a run can be compared with: one file each in ``findings/reference``."""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "reference"


def reference_of(provider: str, base: str) -> str | None:
    """Return the name of the study on the same data provider and base model, or None."""
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    return next((n for n in names if _fits(read_reference(n)["runs"], provider, base)), None)


def _fits(runs: dict[str, Any], provider: str, base: str) -> bool:
    return bool(runs["provider"] == provider and base in runs["base"])


def read_reference(name: str) -> dict[str, Any]:
    """Return what a study reported."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return found
