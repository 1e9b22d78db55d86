"""Tuned systems looked at: accuracy against the tuned value, what was picked, and grids that end too early."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from workflow_scripts.results.run_results import Results


@dataclass(frozen=True)
class TuningCurve:
    """A tuned system with one parameter of numbers.

    Attributes
    ----------
    name, parameter, on : str
        ``on``: whose validation data pick, ``"target"`` or ``"others"``.
    test, validation : DataFrame
        Rows: targets; columns: the values, rising. Accuracies, means over seeds; NaN where a merge could not be made.
    picked : dict of (target, seed) to float
    """

    name: str
    parameter: str
    on: str
    test: pd.DataFrame
    validation: pd.DataFrame
    picked: dict[tuple[str, int], float]

    @property
    def values(self) -> list[float]:
        """The values tried, rising."""
        return list(self.test.columns)

    @property
    def counts(self) -> dict[float, int]:
        """Value → how often it was picked, over targets and seeds."""
        return dict(sorted(Counter(self.picked.values()).items()))

    @property
    def at_the_ends(self) -> dict[float, int]:
        """The grid's ends that were picked → how often. A better value may lie beyond them."""
        ends = {self.values[0], self.values[-1]} if len(self.values) > 1 else set()
        return {value: count for value, count in self.counts.items() if value in ends}


def tuning_curves(results: Results) -> list[TuningCurve]:
    """Return the curves of the tuned systems that tune one parameter, over numbers; those of others are no curves."""
    curves = []
    for name, system in results.tuned.items():
        if len(system["parameters"]) != 1 or name not in results.experiments:
            continue
        (parameter,) = system["parameters"]
        tried = {
            member: results.settings_of(member)["method_parameters"][parameter]
            for member in system["members"]
            if len(results.of_experiment(member))
        }
        if not tried or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in tried.values()):
            continue
        entries = [entry for entry in results.plan.values() if entry["experiment"] == name]
        picked = {(e["target"], e["seed"]): float(tried[e["picked"]]) for e in entries}
        test, validation = (
            pd.DataFrame({float(v): results.of_experiment(m)[column] for m, v in tried.items()})
            .reindex(results.targets_of[name])
            .sort_index(axis=1)
            for column in ("accuracy", "accuracy_validation")
        )
        curves.append(TuningCurve(name, parameter, system["on"], test, validation, picked))
    return curves
