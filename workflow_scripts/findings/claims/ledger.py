"""The ledger: every claim with what the run says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from workflow_scripts.findings.claims import choosing_sources, merge_methods, merging_pays, rules_of_thumb
from workflow_scripts.findings.claims.outcomes import Outcome
from workflow_scripts.findings.claims.paired_run import PairedRun
from workflow_scripts.statistics.verdicts import (
    BENJAMINI_HOCHBERG,
    CANNOT_TELL,
    LEVEL,
    NO_DIFFERENCE,
    ONE_SEED,
    adjusted,
)

CLAIMS = Path(__file__).with_name("claims.yaml")
MODULES = {m.__name__.rsplit(".", 1)[1]: m for m in (choosing_sources, merge_methods, merging_pays, rules_of_thumb)}
NOT_TESTED = "not tested in this run"
COLUMNS = ("claim", "statement", "verdict", "effect", "low", "high", "n", "unit", "detail")


def read_claims() -> list[dict[str, str]]:
    """Return the claims, in order."""
    return yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))


def check_claims(run: PairedRun) -> pd.DataFrame:
    """Return the ledger of a run, one row per claim.

    The p of all claims that the run can test are corrected together (Benjamini and Hochberg), those of no relevant
    difference likewise. One seed decides none.
    """
    claims = read_claims()
    outcomes = [_test(claim["test"])(run) for claim in claims]
    corrected, alike = (
        adjusted([np.nan if outcome is None else getattr(outcome, p) for outcome in outcomes], BENJAMINI_HOCHBERG)
        for p in ("p", "p_equivalent")
    )
    one_seed = run.results.one_seed
    rows = [
        {"claim": claim["claim"], "statement": claim["statement"], **_said(claim, outcome, p, q, one_seed)}
        for claim, outcome, p, q in zip(claims, outcomes, corrected, alike, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n": "Int64"})


def _test(name: str) -> Any:
    module, function = name.split(".")
    return getattr(MODULES[module], function)


def _said(claim: Mapping[str, str], outcome: Outcome | None, p: float, alike: float, one_seed: bool) -> dict[str, Any]:
    if outcome is None:
        return {"verdict": NOT_TESTED, "detail": f"needs {claim['needs']}"}
    detail = f"{outcome.detail}; p = {outcome.p:.2g}, corrected {p:.2g}{' (one seed: descriptive)' if one_seed else ''}"
    return {
        "verdict": ONE_SEED if one_seed else _verdict(outcome, p, alike),
        **{k: getattr(outcome, k) for k in ("effect", "low", "high", "n", "unit")},
        "detail": detail,
    }


def _verdict(outcome: Outcome, p: float, alike: float) -> str:
    if p <= LEVEL and outcome.decisive:
        return outcome.speaks
    return NO_DIFFERENCE if alike <= LEVEL else CANNOT_TELL
