"""All results of a run in one place, as the report's tables and figures read them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from workflow_scripts.core.atomic import read_json
from workflow_scripts.core.lookup import SHAPED_BY, release
from workflow_scripts.core.matrices import read_matrix
from workflow_scripts.results.tuned_systems import read_entries
from workflow_scripts.selection.plan import entry_key
from workflow_scripts.selection.systems import BEST_SINGLE, MERGE, SEED_SOUP, TIERS, system

KEYS = ("method", "similarity_type", "selector", "num_languages", "include_target", "compatibility")


@dataclass(frozen=True)
class Results:
    """A finished run.

    Attributes
    ----------
    systems : DataFrame
        One row per target, system, experiment and seed (``seed == "mean"``: over seeds); see `target_table`.
    plan : dict
        The plan's entries of experiments, without merges that were not made with every seed.
    experiments : dict of str to dict
        Experiment → its settings; those that have merges.
    matrix, matrix_validation : DataFrame
        Mean accuracies, rows = models, columns = evaluation locales.
    languages : dict of str to dict
        Locale → its row of the locale table.
    settings : dict
        The run: ``run``, ``locales``, ``seeds``, ``labels``, ``base``, ``pivot``; ``order``: the experiments as the
        config has them; ``measures``: similarity type → measure.
    members : dict of str to dict
        The experiments that only tuned systems ask for → their settings.
    tuned : dict of str to dict
        Tuned system, one of the `experiments` → ``members``, ``on`` (whose validation data pick), ``parameters``.
    failures : list of dict
        Per target and seed: ``target``, ``seed``, ``failed``: merges that could not be made → why.
    prices : DataFrame
        ``worth_in_labels.csv``; empty for who does not read it, and in a run without the baseline `few_shot`.
    """

    systems: pd.DataFrame
    plan: dict[str, Any]
    experiments: dict[str, dict[str, Any]]
    matrix: pd.DataFrame
    matrix_validation: pd.DataFrame
    languages: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    tuned: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    prices: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def mean(self) -> pd.DataFrame:
        """The rows that are means over seeds."""
        return self.systems[self.systems["seed"].astype(str) == "mean"]

    @cached_property
    def targets(self) -> list[str]:
        """Targets in the run's order."""
        present = set(self.systems["target"])
        return [locale for locale in self.settings["locales"] if locale in present]

    @cached_property
    def soups(self) -> list[str]:
        """The seed soups' names."""
        return sorted(name for name in self.systems["system"].unique() if system(name).name == SEED_SOUP)

    @cached_property
    def _tables(self) -> dict[tuple[str, str], pd.DataFrame]:
        """The mean rows of each (experiment, system), indexed by target."""
        return {key: rows.set_index("target") for key, rows in self.mean.groupby(["experiment", "system"])}

    def baseline(self, name: str) -> pd.DataFrame:
        """Return a baseline's mean rows, indexed by target."""
        return self.of_experiment("", name).reindex(self.targets)

    def of_experiment(self, experiment: str, system: str = MERGE) -> pd.DataFrame:
        """Return the mean rows of a merge, or of a baseline among its sources, indexed by target."""
        return self._tables.get((experiment, system), self.mean.iloc[:0].set_index("target"))

    @cached_property
    def titles(self) -> dict[str, str]:
        """Experiment → a short title of what differs between experiments, or its name if that is not enough."""
        titles = short_titles(self.experiments)
        count = Counter(titles.values())
        return {name: title if count[title] == 1 else name for name, title in titles.items()}

    @cached_property
    def chosen(self) -> dict[str, str]:
        """Target → the experiment whose merge is best on the target's validation data.

        Experiments that need the target's labelled training data take part only where a target has no others: who has
        such data has the target's own model.
        """
        return {**self.chosen_with("labelled training"), **self.chosen_with("labelled validation")}

    @cached_property
    def chosen_and_fair(self) -> tuple[pd.Series, pd.Series]:
        """Per target the accuracy of the merge and of the single source, both chosen on validation data."""
        chosen = {t: self.of_experiment(self.chosen[t]).loc[t, "accuracy"] for t in self.targets if t in self.chosen}
        fair = self.baseline(BEST_SINGLE)["accuracy"]
        return pd.Series(chosen), fair.reindex(list(chosen))

    def chosen_with(self, tier: str) -> dict[str, str]:
        """Return, per target, the best experiment on validation data among those that need this supervision or less."""
        allowed = TIERS[: TIERS.index(tier) + 1]
        return self.chosen_among([name for name in self.experiments if self.tiers[name][0] in allowed])

    def chosen_among(self, experiments: Sequence[str]) -> dict[str, str]:
        """Return, per target, which of some experiments is best on its validation data; ties go to the first."""
        merges = self.mean[(self.mean["system"] == MERGE) & self.mean["experiment"].isin(experiments)]
        order = {name: i for i, name in enumerate(self.experiments)}
        ranked = merges.assign(order=merges["experiment"].map(order)).sort_values(
            ["accuracy_validation", "order"], ascending=[False, True]
        )
        return dict(ranked.drop_duplicates("target")[["target", "experiment"]].itertuples(index=False))

    def settings_of(self, experiment: str) -> dict[str, Any]:
        """Return the settings of an experiment, or of one that only tuned systems ask for."""
        return self.experiments.get(experiment) or self.members[experiment]

    def stored_name(self, experiment: str, target: str, seed: int) -> str:
        """Return under which name a merge's scores are stored: of a tuned system, the experiment that it picked."""
        return str(self.plan[entry_key(experiment, target, seed)].get("picked", experiment))

    @cached_property
    def targets_of(self) -> dict[str, list[str]]:
        """Experiment → its targets, in the run's order."""
        planned = {(e["experiment"], e["target"]) for e in self.plan.values()}
        return {name: [t for t in self.targets if (name, t) in planned] for name in self.experiments}

    @cached_property
    def tiers(self) -> dict[str, tuple[str, str]]:
        """Experiment → the supervision that it needs, and that its selection needs."""
        return {e["experiment"]: (e["tier"], e["selection_tier"]) for e in self.plan.values()}

    def measure(self, experiment: str) -> str:
        """Return the similarity measure that an experiment's sources are chosen by."""
        return str(self.settings["measures"][self.experiments[experiment]["similarity_type"]])

    @property
    def one_seed(self) -> bool:
        """Tell whether the run has a single seed."""
        return len(self.settings["seeds"]) == 1


def read_results(inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> Results:
    """Read everything that the report needs from a job's inputs."""
    systems = pd.concat([pd.read_csv(p, keep_default_na=False, na_values=[""]) for p in inputs["evaluations"]])
    systems["experiment"] = systems["experiment"].fillna("")
    merges = systems[systems["system"] == MERGE]
    made = set(zip(merges["experiment"], merges["target"], strict=True))
    return Results(
        systems=systems.reset_index(drop=True),
        plan={k: e for k, e in read_entries(inputs).items() if (e["experiment"], e["target"]) in made},
        experiments={n: e for n, e in settings["experiments"].items() if n in {name for name, _ in made}},
        members=settings["members"],
        tuned=settings["tuned"],
        matrix=read_matrix(inputs["matrix"]),
        matrix_validation=read_matrix(inputs["matrix_validation"]),
        languages=settings["languages"],
        settings=settings["run"],
        failures=list(map(read_json, inputs["failures"])),
        prices=_read_prices(inputs["prices"]) if "prices" in inputs else pd.DataFrame(),
    )


def _read_prices(path: str) -> pd.DataFrame:
    words = ("target", "bound", "low_bound", "high_bound")
    return pd.read_csv(
        path, keep_default_na=False, na_values={"sentences": "", "low": "", "high": ""}, dtype=dict.fromkeys(words, str)
    )


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> set[str]:
    """Return the settings that two experiments do not share."""
    return {key for key in first if first[key] != second[key]}


def short_titles(experiments: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return titles made of the settings that vary; a method's parameters appear where they vary within it."""
    varying = [k for k in KEYS if len({str(e[k]) for e in experiments.values()}) > 1] or ["method"]
    return {name: _title(e, varying, experiments) for name, e in experiments.items()}


def _title(settings: Mapping[str, Any], varying: list[str], experiments: Mapping[str, Mapping[str, Any]]) -> str:
    parts = [_value(k, settings[k]) for k in varying]
    for plugin in ("method", "selector"):
        same = [e[f"{plugin}_parameters"] for e in experiments.values() if e[plugin] == settings[plugin]]
        for key, value in settings[f"{plugin}_parameters"].items():
            if len({str(other[key]) for other in same}) > 1:
                parts.append(f"{key} {value}")
    return " · ".join(parts)


def _value(key: str, value: Any) -> str:
    if key == "num_languages":
        return f"k={value}"
    if key == "include_target":
        return "IncTar" if value else "ExcTar"
    if key == "compatibility":
        return "compatible" if value else "plain weights"
    return str(value)


def mixed_versions(sidecars: Iterable[Mapping[str, Any]]) -> str:
    """Return which libraries made some of a run's results in one version and some in another; empty if none did.

    Parameters
    ----------
    sidecars : iterable of dict
        Only those of results that may be looked up count; they state the versions of the making.

    Examples
    --------
    >>> made = [{"making_cost": {}, "versions": {"torch": version}} for version in ("2.9.0", "2.10.0", "2.9.0")]
    >>> mixed_versions(made)
    'torch 2.9.0 (2 jobs), 2.10.0 (1 job)'
    """
    made = [sidecar["versions"] for sidecar in sidecars if "making_cost" in sidecar]
    mixed = []
    for library in sorted(set().union(*SHAPED_BY.values())):
        counts = Counter(release(versions[library]) for versions in made if library in versions)
        if len(counts) > 1:
            told = (f"{version} ({n} job{'s' * (n > 1)})" for version, n in counts.most_common())
            mixed.append(f"{library} {', '.join(told)}")
    return "; ".join(mixed)
