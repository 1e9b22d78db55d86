"""What an older study reported beside what this run finds, quantity by quantity."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from workflow_scripts.findings.older_studies import Reference
from workflow_scripts.results.run_results import Results
from workflow_scripts.selection.systems import BEST_SINGLE_ORACLE, MEAN_SINGLE, SELF

COLUMNS = ["quantity", "target", "method", "older_study", "this_run", "low", "high", "difference", "targets", "note"]
METHODS = ("similarity", "average")  # the older study's merges
NO_EXPERIMENT = "this run has no such experiment"
NO_TARGET = "not a target of this run"
ZERO_SHOT = {BEST_SINGLE_ORACLE: "best other model", MEAN_SINGLE: "mean of the other models"}
UNKNOWN = "which zero-shot the older study reported is unknown"


def reference_comparison(results: Results, reference: Reference) -> pd.DataFrame:
    """Return one row per reported quantity.

    Parameters
    ----------
    results : Results
    reference : mapping
        The content of a file in ``findings/reference``.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: ``older_study`` and ``this_run`` are the two values (empty where the run cannot tell, and
        ``note`` says why), ``low`` and ``high`` the 95 % interval of an accuracy of this run, ``difference`` this run −
        older study, ``targets`` the number of targets that this run's value is a mean over.
    """
    rows = pd.DataFrame(_rows(results, reference), columns=COLUMNS)
    rows["difference"] = rows["this_run"] - rows["older_study"]
    return rows


def experiment_of(results: Results, method: str, wanted: Mapping[str, Any]) -> str | None:
    """Return the run's experiment that merges with `method` what the settings in `wanted` choose, or None."""
    settings = {"method": method, **wanted}
    return next((n for n, e in results.experiments.items() if all(e[k] == v for k, v in settings.items())), None)


def _rows(results: Results, reference: Reference) -> Iterator[dict[str, Any]]:
    merges = {m: _merges(results, experiment_of(results, m, reference["experiment"])) for m in METHODS}
    trained = results.baseline(SELF)
    yield {"quantity": "mean self", "older_study": reference["mean_accuracy"][SELF], **_mean(trained)}
    for method, rows in merges.items():
        value = reference["mean_accuracy"][method]
        yield {"quantity": "mean accuracy of merges", "method": method, "older_study": value, **_mean(rows)}
    for name, words in ZERO_SHOT.items():
        for row in _beside_zero_shot(results.baseline(name), trained, merges, reference):
            yield {**row, "quantity": row["quantity"].replace("zero-shot", f"zero-shot ({words})", 1)}


def _beside_zero_shot(
    zero_shot: pd.DataFrame, trained: pd.DataFrame, merges: Mapping[str, pd.DataFrame | None], reference: Reference
) -> Iterator[dict[str, Any]]:
    """Yield what the older study reported of zero-shot, read as one of the systems that it may have meant."""
    value = reference["mean_accuracy"]["zero_shot"]
    yield {"quantity": "mean zero-shot", "older_study": value, "note": UNKNOWN, **_mean(zero_shot)}
    yield {
        "quantity": "share of targets where the better merge (chosen on test data) beats zero-shot",
        "method": " or ".join(METHODS),
        "older_study": reference["improved"] / reference["targets"],
        "note": UNKNOWN,
        **_improved(merges, zero_shot),
    }
    for target, (method, value) in reference["difference"].items():
        here = _of_target(merges[method], target)
        if "this_run" in here:
            here = {"this_run": here["this_run"] - zero_shot.loc[target, "accuracy"], "note": UNKNOWN}
        yield {"quantity": "merge − zero-shot", "target": target, "method": method, "older_study": value, **here}
    for target, value in reference["zero_shot"].items():
        here = {"note": UNKNOWN, **_of_target(zero_shot, target)}
        yield {"quantity": "zero-shot", "target": target, "older_study": value, **here}
    for target, value in reference["zero_shot_to_self"].items():
        here = _of_target(zero_shot, target)
        if "this_run" in here:
            here = {"this_run": here["this_run"] / trained.loc[target, "accuracy"], "note": UNKNOWN}
        yield {"quantity": "zero-shot / self", "target": target, "older_study": value, **here}


def _merges(results: Results, experiment: str | None) -> pd.DataFrame | None:
    return None if experiment is None else results.of_experiment(experiment)


def _mean(rows: pd.DataFrame | None) -> dict[str, Any]:
    if rows is None:
        return {"note": NO_EXPERIMENT}
    return {"this_run": rows["accuracy"].mean(), "targets": len(rows)}


def _improved(merges: Mapping[str, pd.DataFrame | None], zero_shot: pd.DataFrame) -> dict[str, Any]:
    accuracies = [rows["accuracy"] for rows in merges.values() if rows is not None]
    if len(accuracies) < len(merges):
        return {"note": NO_EXPERIMENT}
    better = pd.concat(accuracies, axis=1).max(axis=1)
    return {"this_run": float((better > zero_shot["accuracy"].reindex(better.index)).mean()), "targets": len(better)}


def _of_target(rows: pd.DataFrame | None, target: str) -> dict[str, Any]:
    if rows is None:
        return {"note": NO_EXPERIMENT}
    if target not in rows.index:
        return {"note": NO_TARGET}
    row = rows.loc[target]
    return {"this_run": row["accuracy"], "low": row["low"], "high": row["high"], "targets": 1}
