"""Numbers for JSON, which has no word for one that is not defined or has no bound."""

import math
from typing import Any


def for_json(value: Any) -> Any:
    """Return the same with null for numbers that are missing, not defined or infinite; containers are gone through."""
    if isinstance(value, dict):
        return {k: for_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [for_json(v) for v in value]
    import pandas as pd

    missing = value is pd.NA or (isinstance(value, float) and not math.isfinite(value))
    return None if missing else value
