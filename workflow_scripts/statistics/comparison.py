"""The run's comparisons as a table: effects, intervals, tests, corrections, verdicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.core.atomic import for_json
from workflow_scripts.results.items import read_items
from workflow_scripts.results.run_results import Results
from workflow_scripts.selection.systems import BEST_SINGLE, MERGE, ORACLE
from workflow_scripts.statistics.across_targets import common_variance, compare_across
from workflow_scripts.statistics.best_of import BestOf, best_of
from workflow_scripts.statistics.contrasts import (
    EXPLORATORY,
    PRIMARY,
    Contrast,
    contenders,
    exploratory_contrasts,
    primary_contrasts,
)
from workflow_scripts.statistics.differences import Differences, paired_differences, shared_clusters
from workflow_scripts.statistics.draws import DRAWS
from workflow_scripts.statistics.one_target import TestedDifference, compare_on_target
from workflow_scripts.statistics.seeds import crossed, not_equivalent
from workflow_scripts.statistics.verdicts import (
    BENJAMINI_HOCHBERG,
    HOLM,
    LEVEL,
    adjusted,
    chance_band,
    minimal_effect,
    smallest_p,
    verdict,
)

Row = dict[str, Any]
ACROSS, TARGET = "across targets", "target"
TESTS = ("p", "p_equivalent", "p_no_gain")  # of no difference; of one of the margin or more; of a gain that large
COLUMNS = (
    "family", "tier", "contrast", "experiment", "system", "baseline", "scope", "target", "seeds", "targets", "n",
    "clusters", "effect", "low", "high", "p", "p_adjusted", "correction", "test", "mde", "p_equivalent",
    "p_equivalent_adjusted", "p_no_gain", "p_no_gain_adjusted", "family_low", "family_high", "seed_low", "seed_high",
    "improved", "hurt", "improved_chance_low", "improved_chance_high", "verdict",
)  # fmt: skip


class Comparisons:
    """Paired differences of contrasts on every target of a run.

    Parameters
    ----------
    contrasts : sequence of Contrast
    paths : mapping
        Target → its items.
    languages : mapping
        Target → its row of the locale table; an unknown family is a family by itself.
    margin : float
        A smaller difference is of no relevance.
    """

    def __init__(
        self,
        contrasts: Sequence[Contrast],
        paths: Mapping[str, str | Path],
        languages: Mapping[str, Mapping[str, Any]],
        margin: float,
    ) -> None:
        self.contrasts, self.margin = contrasts, margin
        self.families = {t: t if languages[t]["family"] == "unknown" else languages[t]["family"] for t in paths}
        self.columns: dict[str, list[int]] = {}
        self.paired: dict[str, Differences] = {}
        for target, path in paths.items():
            columns = [i for i, contrast in enumerate(contrasts) if target in contrast.pairs]
            pairs = [contrasts[i].pairs[target] for i in columns]
            items = read_items(path, {system for pair in pairs for _, system in pair})
            self.columns[target] = columns
            self.paired[target] = paired_differences(items, pairs)

    def differences(self, contrasts: Sequence[int], targets: Sequence[str]) -> dict[str, Differences]:
        """Return the differences of some contrasts, which must have these targets."""
        return {t: self.paired[t].of([self.columns[t].index(i) for i in contrasts]) for t in targets}

    def rows(self) -> list[Row]:
        """Return the rows of all contrasts, without corrections."""
        across = [row for group in self._groups() for row in self._across(*group)]
        across.sort(key=lambda row: row["place"])
        return [*across, *(row for target in self.paired for row in self._on_target(target))]

    def _groups(self) -> list[tuple[list[int], list[str]]]:
        """Return the contrasts that have the same targets, with these."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, contrast in enumerate(self.contrasts):
            groups.setdefault(tuple(t for t in self.paired if t in contrast.pairs), []).append(i)
        return [(contrasts, list(targets)) for targets, contrasts in groups.items()]

    def _across(self, contrasts: list[int], targets: list[str]) -> list[Row]:
        differences = self.differences(contrasts, targets)
        estimates, by_family = compare_across(differences, [self.families[t] for t in targets], self.margin)
        means = np.array([f.means for f in differences.values()])
        seeds = np.array([f.seeds for f in differences.values()])
        common = (
            common_variance(list(differences.values())) if shared_clusters(differences) else np.zeros(len(contrasts))
        )
        sizes = {
            "n": sum(f.n for f in differences.values()),
            "clusters": count_clusters(differences),
            "targets": len(targets),
        }
        return [
            self._row(
                i, estimates[place], seeds.shape[2], len(targets), crossed(seeds[:, place], common[place], self.margin)
            )
            | {"scope": ACROSS, "family_low": by_family[place][0], "family_high": by_family[place][1], **sizes}
            | counts(means[:, place])
            for place, i in enumerate(contrasts)
        ]

    def _on_target(self, target: str) -> list[Row]:
        contrasts = [i for i in self.columns[target] if self.contrasts[i].each_target]
        differences = self.differences(contrasts, [target])[target]
        sizes = {"n": differences.n, "clusters": len(differences.clusters), "targets": 1}
        return [
            self._row(i, estimate, differences.seeds.shape[1], len(differences.clusters))
            | {"scope": TARGET, "target": target, **sizes}
            for place, (i, estimate) in enumerate(
                zip(contrasts, compare_on_target(differences, self.margin), strict=True)
            )
        ]

    def _row(
        self, place: int, estimate: TestedDifference, seeds: int, units: int, over_seeds: TestedDifference | None = None
    ) -> Row:
        contrast = self.contrasts[place]
        estimates = [e for e in (estimate, over_seeds) if e is not None]
        row = {
            "place": place, "family": contrast.family, "tier": contrast.tier, "contrast": contrast.name,
            "experiment": contrast.experiment, "system": contrast.system, "baseline": contrast.baseline,
            "seeds": seeds, "effect": estimate.effect, "low": estimate.low, "high": estimate.high, "p": estimate.p,
            "test": estimate.test, "mde": minimal_effect(estimate.error, units),
            "p_equivalent": not_equivalent(estimates), "p_no_gain": np.fmax.reduce([e.no_gain for e in estimates]),
        }  # fmt: skip
        return row if over_seeds is None else row | {"seed_low": over_seeds.low, "seed_high": over_seeds.high}


def count_clusters(targets: Mapping[str, Differences]) -> int:
    """Return the number of distinct clusters of several targets."""
    return len({name for target in targets.values() for name in target.clusters})


def counts(means: np.ndarray) -> Row:
    """Return how many targets improved and were hurt, and the band of improved targets by chance."""
    low, high = chance_band(means > 0, means < 0)
    return {
        "improved": int((means > 0).sum()),
        "hurt": int((means < 0).sum()),
        "improved_chance_low": low,
        "improved_chance_high": high,
    }


def judged(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the table of comparisons: p corrected within each family, each kind by itself, and verdicts.

    Holm over the primary family; Benjamini and Hochberg over the exploratory comparisons across targets, and over those
    of single targets.
    """
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table["correction"] = np.where(table["family"] == PRIMARY, HOLM, BENJAMINI_HOCHBERG)
    for _, group in table.groupby(["family", "scope"]):
        for p in TESTS:
            table.loc[group.index, f"{p}_adjusted"] = adjusted(group[p], group["correction"].iloc[0])
    size = int((table["family"] == PRIMARY).sum())
    table["verdict"] = [_verdict(row, size) for row in table.to_dict("records")]
    table["target"] = table["target"].fillna("")
    return table.astype(dict.fromkeys(("improved", "hurt", "improved_chance_low", "improved_chance_high"), "Int64"))


def _verdict(row: Mapping[str, Any], size: int) -> str:
    level = LEVEL / size if row["family"] == PRIMARY else LEVEL
    too_few = row["scope"] == ACROSS and smallest_p(row["targets"]) > level
    intervals = [(row["low"], row["high"]), (row["seed_low"], row["seed_high"])]
    corrected = row["p_adjusted"], row["p_equivalent_adjusted"]
    return verdict(row["effect"], intervals, *corrected, row["seeds"], too_few)


def compare_run(results: Results, paths: Mapping[str, str | Path]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return all comparisons of a run as a table, and what else is to be known about them.

    Parameters
    ----------
    results : Results
    paths : mapping
        Target → its items.
    """
    primary, missing = primary_contrasts(results)
    contrasts = [*primary, *exploratory_contrasts(results)]
    comparisons = Comparisons(contrasts, paths, results.languages, results.settings["margin"])
    rows = comparisons.rows()
    competing = contenders(results)
    best = _best_on_test(comparisons, competing)
    table = judged([*rows, *([_oracle_row(*best)] if best else [])])
    across = table[table["scope"] == ACROSS]
    return table, {
        "level": LEVEL,
        "margin": results.settings["margin"],
        "draws": DRAWS,
        "targets": len(paths),
        "seeds": len(results.settings["seeds"]),
        "shared_clusters": shared_clusters(comparisons.paired),
        "primary": records(across[across["family"] == PRIMARY]),
        "not_formed": missing,
        "exploratory": {"across targets": int((across["family"] == EXPLORATORY).sum()),
                        "target": int((table["scope"] == TARGET).sum())},
        "best_on_test": _oracle_facts(best[0], competing) if best else None,
    }  # fmt: skip


def _best_on_test(comparisons: Comparisons, names: Sequence[str]) -> tuple[BestOf, dict[str, Differences]] | None:
    """Return the comparison of the merge that is best on test data, and what it is made of; None without contenders."""
    wanted = [
        i
        for i, contrast in enumerate(comparisons.contrasts)
        if contrast.experiment in names and contrast.baseline == BEST_SINGLE
    ]
    differences: dict[str, Differences] = {}
    merges: dict[str, list[int]] = {}
    for target, columns in comparisons.columns.items():
        if chosen := [i for i in wanted if i in columns]:
            merges[target] = chosen
            differences |= comparisons.differences(chosen, [target])
    return (best_of(differences, merges), differences) if differences else None


def _oracle_row(best: BestOf, differences: Mapping[str, Differences]) -> Row:
    estimate, (low, high) = best.estimate, best.band
    return {
        "family": EXPLORATORY, "tier": ORACLE, "contrast": f"best merge on test − {BEST_SINGLE}",
        "experiment": "chosen on test", "system": MERGE, "baseline": BEST_SINGLE, "scope": ACROSS,
        "seeds": next(iter(differences.values())).seeds.shape[1], "targets": len(differences),
        "n": sum(f.n for f in differences.values()), "clusters": count_clusters(differences), "effect": estimate.effect,
        "low": estimate.low, "high": estimate.high, "p": estimate.p, "test": estimate.test, "improved": best.improved,
        "hurt": best.hurt, "improved_chance_low": low, "improved_chance_high": high,
    }  # fmt: skip


def _oracle_facts(best: BestOf, names: Sequence[str]) -> Row:
    return {
        "merges": len(names),
        "effect": best.estimate.effect,
        "chance": best.chance,
        "improved": best.improved,
        "hurt": best.hurt,
        "improved_by_chance": list(best.band),
    }


def records(table: pd.DataFrame) -> list[Row]:
    """Return a table's rows for JSON: what is not known is None."""
    return list(for_json(table.to_dict("records")))
